"""libunroll_c.so, found and declared, and what its calls are made of."""

import ctypes
import os
from ctypes import POINTER, byref, c_char_p, c_double, c_int, c_int64, c_uint64, c_void_p


class Error(RuntimeError):
    """What the library refused, in its own words: the operation, the shapes and the remedy."""

    __module__ = "unroll"


_ABI = 1
_SONAME = "libunroll_c.so.%d" % _ABI


def _candidates():
    if "UNROLL_LIBRARY" in os.environ:
        yield os.environ["UNROLL_LIBRARY"]
        return
    folder = os.path.dirname(os.path.abspath(__file__))
    yield os.path.join(folder, "libunroll_c.so")
    # An installed tree (PREFIX/lib/python3/dist-packages/unroll) and a source tree with its build.
    for _ in range(4):
        folder = os.path.dirname(folder)
        for place in ("", "lib", "lib64", "build"):
            yield os.path.join(folder, place, _SONAME)
    yield _SONAME


def _load():
    tried = []
    for path in _candidates():
        if os.sep in path and "UNROLL_LIBRARY" not in os.environ and not os.path.exists(path):
            continue
        try:
            library = ctypes.CDLL(path)
        except OSError as error:
            tried.append(str(error))
            continue
        if library.unroll_abi_version() == _ABI:
            return library
        tried.append("%s has interface %d, this module needs %d"
                     % (path, library.unroll_abi_version(), _ABI))
    raise ImportError("unroll: no usable libunroll_c.so: %s; set UNROLL_LIBRARY to its path"
                      % "; ".join(tried))


class _Option(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("value", c_double)]


class _Group(ctypes.Structure):
    _fields_ = [("prefix", c_char_p), ("options", POINTER(_Option)), ("count", c_int)]


class _PlateauState(ctypes.Structure):
    _fields_ = [("lr", c_double), ("best", c_double), ("bad", c_int64), ("cooling", c_int64)]


class _Observation(ctypes.Structure):
    _fields_ = [("outputs", c_char_p), ("readout", c_void_p), ("unknown_start", c_int),
                ("h_0", c_void_p), ("c_0", c_void_p), ("noise", c_double), ("dtype", c_char_p)]


_lib = _load()
_Release = ctypes.CFUNCTYPE(None, c_void_p)
_P, _PP, _LENGTHS = c_void_p, POINTER(c_void_p), POINTER(c_int64)  # handle, its place, int64[]
_OPTIONS, _OBSERVATION = POINTER(_Option), POINTER(_Observation)


def _check(status, function, arguments):
    if status:
        raise Error(_lib.unroll_last_error().decode(errors="replace"))


def _declare(result, functions):
    for name, arguments in functions.items():
        function = getattr(_lib, "unroll_" + name)
        function.argtypes = arguments
        function.restype = result
        if result is c_int:
            function.errcheck = _check


_declare(c_int, {
    "set_num_threads": [c_int],
    "tensor_wrap": [_P, c_int, c_int, _LENGTHS, _LENGTHS, c_int, _Release, _P, _PP],
    "tensor_copy": [_P, c_int, _PP],
    "tensor_alias": [_P, _PP],
    "tensor_assign": [_P, _P],
    "tensor_to_dlpack": [_P, _PP],
    "tensor_to_dlpack_versioned": [_P, _PP],
    "tensor_from_dlpack": [_P, _PP],
    "tensor_from_dlpack_versioned": [_P, _PP],
    "apply": [c_char_p, _PP, c_int, _PP],
    "masked_mse": [_P, _P, _LENGTHS, c_int64, _PP],
    "parameters_create": [c_int, _PP],
    "parameters_add": [_P, c_char_p, c_int, _LENGTHS, _PP],
    "parameters_load": [_P, c_char_p, c_char_p],
    "parameters_save": [_P, c_char_p],
    "parameters_get": [_P, c_char_p, _PP],
    "parameters_gradient": [_P, c_char_p, _PP],
    "parameters_set": [_P, c_char_p, _P],
    "parameters_flat": [_P, _PP],
    "parameters_gradients": [_P, _PP],
    "parameters_zero_gradients": [_P],
    "parameters_clip_norm": [_P, c_double, POINTER(c_double)],
    "parameters_clip_value": [_P, c_double],
    "random_create": [c_uint64, c_uint64, c_uint64, _PP],
    "dropout": [_P, c_double, _P, _PP],
    "layer_create": [_P, c_char_p, c_char_p, c_int64, c_int64, _OPTIONS, c_int, _PP],
    "layer_reset": [_P, c_uint64, _OPTIONS, c_int],
    "layer_forward": [_P, _P, _LENGTHS, c_int64, _P, _P, _PP, _PP, _PP],
    "layer_train": [_P, _P],
    "layer_attend": [_P, _P, _P, _P, _P, _P, _LENGTHS, c_int64, _OPTIONS, c_int, _PP, _PP],
    "scaled_dot_product_attention": [_P, _P, _P, _P, _LENGTHS, c_int64, _OPTIONS, c_int, _PP, _PP],
    "model_create": [c_char_p, c_char_p, c_int, c_int64, c_int64, c_uint64, _OPTIONS, c_int, _PP],
    "model_open": [c_char_p, _PP],
    "model_parameters": [_P, _PP],
    "model_standardize": [_P, _P, _PP],
    "model_restore": [_P, _P, _PP],
    "model_forward": [_P, _P, _LENGTHS, c_int64, _PP],
    "model_loss": [_P, _P, _LENGTHS, c_int64, _PP],
    "tape_begin": [_PP],
    "tape_end": [_P],
    "tape_pull": [_P, _PP, _PP, c_int, _PP, c_int, _PP],
    "tape_pull_parameters": [_P, _P, _P, _P, _PP],
    "tape_push": [_P, _PP, _PP, c_int, _PP, c_int, _PP],
    "tape_backward": [_P, _P, _P],
    "optimizer_create_with_groups": [_P, c_char_p, _OPTIONS, c_int, POINTER(_Group), c_int, _PP],
    "optimizer_step": [_P, POINTER(c_double)],
    "optimizer_save": [_P, c_char_p],
    "optimizer_load": [_P, c_char_p],
    "schedule_rate": [c_char_p, _OPTIONS, c_int, c_int64, POINTER(c_double)],
    "plateau_report": [POINTER(_PlateauState), c_double, _OPTIONS, c_int],
    "train_step": [_P, _P, _P, _LENGTHS, c_int64, POINTER(c_double), c_double, POINTER(c_double),
                   POINTER(c_double)],
    "encoder_load": [c_char_p, c_char_p, c_char_p, _PP],
    "encoder_create": [POINTER(c_char_p), _PP, c_int, c_char_p, c_char_p, _PP],
    "encoder_size": [_P, c_char_p, _LENGTHS],
    "encoder_forward": [_P, _P, _LENGTHS, c_int64, _P, _P, _PP, _PP, _PP],
    "invert": [_P, _P, _OBSERVATION, c_int64, _LENGTHS, c_int64, _P, _P, _OPTIONS, c_int, _PP],
    "inversion_x": [_P, _PP],
    "inversion_start": [_P, _PP, _PP],
    "inversion_text": [_P, c_int64, c_char_p, POINTER(c_char_p)],
    "inversion_number": [_P, c_int64, c_char_p, POINTER(c_double)],
    "inversion_tensor": [_P, c_int64, c_char_p, _PP],
    "identify": [_P, _OBSERVATION, c_int64, _P, _OPTIONS, c_int, _PP],
    "identifiability_number": [_P, c_char_p, POINTER(c_double)],
    "identifiability_tensor": [_P, c_char_p, _PP],
    "identifiability_digits": [_P, c_char_p] + 3 * [POINTER(c_double)],
})
_declare(None, {name + "_release": [_P]
                for name in ("tensor", "random", "parameters", "layer", "model", "optimizer",
                             "encoder", "inversion", "identifiability")})
_declare(c_char_p, {"version": [], "last_error": [], "parameters_name": [_P, c_int64],
                    "model_column": [_P, c_int64], "encoder_describe": [_P],
                    "encoder_cell": [_P], "inversion_verdict": [_P],
                    "identifiability_verdict": [_P]})
_declare(c_double, {"inversion_error_bound": [_P]})
_declare(c_uint64, {"random_counter": [_P]})
_declare(c_int64, {"tensor_numel": [_P], "parameters_count": [_P], "model_window": [_P],
                   "inversion_count": [_P]})
_declare(ctypes.c_uint, {"tensor_dtype": [_P], "tensor_rank": [_P], "tensor_is_read_only": [_P]})
_declare(_LENGTHS, {"tensor_shape": [_P], "tensor_strides": [_P]})
_declare(c_void_p, {"tensor_data": [_P]})

_DTYPES = ("float32", "float64", "int64", "bool")
_TYPESTRS = ("<f4", "<f8", "<i8", "|b1")  # as in __array_interface__
_ITEMSIZES = (4, 8, 8, 1)


def _made(function, *arguments):
    """The handle that a function writes to its last argument."""
    out = c_void_p()
    function(*arguments, byref(out))
    return out.value


def _handles(tensors):
    return (c_void_p * len(tensors))(*[None if t is None else t._handle for t in tensors])


def _int64s(values):
    return (c_int64 * len(values))(*values)


def _lengths(lengths):
    if lengths is None:
        return None, 0
    values = [int(n) for n in lengths]
    return _int64s(values), len(values)


def _options(options):
    """unroll_option[] and its length; a list gives one option for each of its values."""
    pairs = [(name.encode(), float(each)) for name, value in options.items()
             for each in (value if isinstance(value, list) else [value])]
    return (_Option * len(pairs))(*pairs), len(pairs)


def _number(value):
    return None if value is None else byref(c_double(value))


def _dtype_name(dtype):
    return getattr(dtype, "name", None) or getattr(dtype, "__name__", None) or str(dtype)


def _code(dtype):
    name = _dtype_name(dtype)
    if name not in _DTYPES:
        raise Error("dtype: there is no %s; there are: %s" % (name, ", ".join(_DTYPES)))
    return _DTYPES.index(name)


class _Owner:
    """An object that owns a handle. Calls take the object itself, which so outlives them."""

    _release = None

    def __init__(self, handle):
        self._handle = handle

    @property
    def _as_parameter_(self):  # what ctypes passes for the object
        return self._handle

    def __del__(self):
        if getattr(self, "_handle", None) and self._release:
            self._release(self._handle)
            self._handle = None
