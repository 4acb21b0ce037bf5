"""Optimisers and learning rates."""

import os
from ctypes import byref, c_double

from ._library import Error, _Group, _lib, _made, _number, _options, _Owner, _PlateauState

__all__ = ["SGD", "Adam", "AdamW", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta", "Cosine",
           "StepDecay", "MultiStepDecay", "ExponentialDecay", "LinearRamp", "PolynomialDecay",
           "CosineAnnealing", "CosineRestarts", "OneCycle", "Cyclic", "Plateau"]


class _Optimizer(_Owner):
    """Options as keywords, and in groups, a mapping of prefixes to options, those of the parameters
    whose names begin so: groups={"head.": {"lr": 1e-4}}."""

    _release = _lib.unroll_optimizer_release
    _kind = ""

    def __init__(self, parameters, groups=None, **options):
        own = [(prefix.encode(), _options(of)) for prefix, of in (groups or {}).items()]
        made = (_Group * len(own))(*[(prefix, *of) for prefix, of in own])
        super().__init__(_made(_lib.unroll_optimizer_create_with_groups, parameters,
                               self._kind.encode(), *_options(options), made, len(own)))

    def step(self, lr=None):
        """One update from the gradients. lr replaces the option's for this step, and the groups'
        change in proportion."""
        _lib.unroll_optimizer_step(self, _number(lr))

    def save(self, path):
        """What it remembers, as safetensors."""
        _lib.unroll_optimizer_save(self, os.fsencode(path))

    def load(self, path):
        """Goes on from what one of the same kind, groups and parameters saved."""
        _lib.unroll_optimizer_load(self, os.fsencode(path))


class SGD(_Optimizer):
    """torch.optim.SGD: lr, momentum, dampening, weight_decay, nesterov, maximize."""

    _kind = "sgd"


class Adam(_Optimizer):
    """torch.optim.Adam: lr, beta1, beta2, eps, weight_decay, amsgrad, maximize."""

    _kind = "adam"


class AdamW(_Optimizer):
    """torch.optim.AdamW: as Adam, with decoupled weight decay."""

    _kind = "adamw"


class NAdam(_Optimizer):
    """torch.optim.NAdam: lr, beta1, beta2, eps, weight_decay, momentum_decay, maximize, and
    momentum_twice (as PyTorch 1)."""

    _kind = "nadam"


class RAdam(_Optimizer):
    """torch.optim.RAdam: lr, beta1, beta2, eps, weight_decay, maximize."""

    _kind = "radam"


class RMSprop(_Optimizer):
    """torch.optim.RMSprop: lr, alpha, eps, momentum, weight_decay, centered, maximize."""

    _kind = "rmsprop"


class Adagrad(_Optimizer):
    """torch.optim.Adagrad: lr, lr_decay, eps, weight_decay, initial_accumulator_value, maximize."""

    _kind = "adagrad"


class Adadelta(_Optimizer):
    """torch.optim.Adadelta: lr, rho, eps, weight_decay, maximize."""

    _kind = "adadelta"


# ---- learning rates as functions of the step: adam.step(rate(i)), i = 0, 1, ...

class _Schedule:
    def __init__(self, kind, options):
        self._kind, self._options = kind.encode(), _options(options)
        self(0)  # what does not fit is refused now

    def __call__(self, step):
        rate = c_double()
        _lib.unroll_schedule_rate(self._kind, *self._options, step, byref(rate))
        return rate.value


def _schedule(name, kind, text):
    def make(self, **options):
        _Schedule.__init__(self, kind, options)
    return type(name, (_Schedule,), {"__init__": make, "__doc__": text, "__module__": "unroll"})


Cosine = _schedule("Cosine", "cosine", "lr down to final_fraction * lr at `steps`, along a cosine.")
StepDecay = _schedule("StepDecay", "step", "StepLR: lr, every, gamma.")
ExponentialDecay = _schedule("ExponentialDecay", "exponential", "ExponentialLR: lr, gamma.")
LinearRamp = _schedule("LinearRamp", "linear", "LinearLR: lr, start, end (factors), steps.")
PolynomialDecay = _schedule("PolynomialDecay", "polynomial", "PolynomialLR: lr, steps, power.")
CosineAnnealing = _schedule("CosineAnnealing", "cosine_annealing",
                            "CosineAnnealingLR: lr, half_period, lowest.")
CosineRestarts = _schedule("CosineRestarts", "cosine_restarts",
                           "CosineAnnealingWarmRestarts: lr, period, growth, lowest.")


class MultiStepDecay(_Schedule):
    """MultiStepLR: a factor gamma at each milestone."""

    def __init__(self, lr, milestones, **options):
        super().__init__("multi_step", dict(options, lr=lr, milestone=list(milestones)))


class OneCycle(_Schedule):
    """OneCycleLR: max_lr, steps, rise, divisor, final_divisor, three_phase; anneal "cosine" or
    "linear"."""

    def __init__(self, anneal="cosine", **options):
        super().__init__(_one_of("anneal", anneal, {"cosine": "one_cycle",
                                                    "linear": "one_cycle_linear"}), options)


class Cyclic(_Schedule):
    """CyclicLR: lr, max_lr, up, down; shape "triangular", "triangular2" (each cycle half as high)
    or "exponential" (with gamma)."""

    def __init__(self, shape="triangular", **options):
        super().__init__(_one_of("shape", shape, {"triangular": "cyclic", "triangular2": "cyclic2",
                                                  "exponential": "cyclic_exponential"}), options)


def _one_of(what, name, kinds):
    if name not in kinds:
        raise Error("%s: there is no %s; there are: %s" % (what, name, ", ".join(kinds)))
    return kinds[name]


class Plateau:
    """ReduceLROnPlateau: factor, patience, cooldown, threshold, relative, maximize, lowest, eps.

    Its state is lr, best, bad and cooling: whoever saves and sets them goes on.
    """

    def __init__(self, lr, **options):
        self._options = _options(options)
        self.lr, self.best, self.bad, self.cooling = lr, float("nan"), 0, 0
        _lib.unroll_plateau_report(byref(_PlateauState(lr, lr, 0, 0)), lr, *self._options)

    def report(self, loss):
        """Takes a loss and returns the rate from now on."""
        state = _PlateauState(self.lr, self.best, self.bad, self.cooling)
        _lib.unroll_plateau_report(byref(state), loss, *self._options)
        self.lr, self.best, self.bad, self.cooling = (state.lr, state.best, state.bad,
                                                      state.cooling)
        return self.lr
