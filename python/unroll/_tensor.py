"""Tensor, its exchange with NumPy and DLPack, and the operations."""

import ctypes
import itertools
from ctypes import c_char_p, c_int, c_void_p

from ._library import (_DTYPES, _ITEMSIZES, _TYPESTRS, Error, _code, _handles, _int64s, _lengths,
                       _lib, _made, _Owner, _Release)

# Objects whose memory tensors use, until the library needs it no more.
_lent, _keys = {}, itertools.count(1)


@_Release
def _give_back(key, lent=_lent):
    lent.pop(key, None)


def _wrap(array):
    """A tensor over the memory of an object with __array_interface__."""
    interface = array.__array_interface__
    typestr = interface["typestr"].replace("=", "<")
    if typestr not in _TYPESTRS:
        raise Error("Tensor: an array of %s; a tensor holds %s: convert with astype()"
                    % (typestr, ", ".join(_DTYPES)))
    code = _TYPESTRS.index(typestr)
    pointer, read_only = interface["data"]
    shape, strides = interface["shape"], interface.get("strides")
    if strides is not None:
        size = _ITEMSIZES[code]
        if any(n > 1 and s % size for n, s in zip(shape, strides)):
            raise Error("Tensor: elements of %d bytes lie %s bytes apart; copy the array first"
                        % (size, tuple(strides)))
        strides = _int64s([s // size for s in strides])
    key = next(_keys)
    _lent[key] = array
    try:
        return _made(_lib.unroll_tensor_wrap, pointer, code, len(shape), _int64s(shape), strides,
                     bool(read_only), _give_back, key)
    except BaseException:
        del _lent[key]
        raise


class Tensor(_Owner):
    """A strided array of float32, float64, int64 or bool.

    Tensor(array) uses the memory of a NumPy array (or of whatever has __array_interface__), and
    numpy.asarray(tensor) that of the tensor; each keeps the other alive. Lists and numbers are
    copied. Writing to shared memory is seen by both, but not by a live Tape: there use assign().
    """

    _release = _lib.unroll_tensor_release

    def __init__(self, array, dtype=None):
        # What NumPy's own scalars say of their memory is true for a moment only.
        if dtype is not None or not getattr(array, "shape", None) or isinstance(array, Tensor):
            import numpy
            array = numpy.asarray(array, dtype)
        super().__init__(_wrap(array))

    @classmethod
    def _of(cls, handle):
        if not handle:
            return None
        tensor = cls.__new__(cls)
        tensor._handle = handle
        return tensor

    @property
    def shape(self):
        return tuple(_lib.unroll_tensor_shape(self)[:self.ndim])

    @property
    def strides(self):
        """Steps along the axes, in elements."""
        return tuple(_lib.unroll_tensor_strides(self)[:self.ndim])

    @property
    def ndim(self):
        return _lib.unroll_tensor_rank(self)

    @property
    def size(self):
        return _lib.unroll_tensor_numel(self)

    @property
    def dtype(self):
        """Its name: "float32", "float64", "int64" or "bool"."""
        return _DTYPES[_lib.unroll_tensor_dtype(self)]

    @property
    def read_only(self):
        return bool(_lib.unroll_tensor_is_read_only(self))

    @property
    def __array_interface__(self):
        # Whoever gets the address keeps this object, and this object the memory there: a parameter
        # moves when others are added.
        pointer = _lib.unroll_tensor_data(self)
        pins = self.__dict__.setdefault("_pins", {})
        if pointer not in pins:
            pins[pointer] = Tensor._of(_made(_lib.unroll_tensor_alias, self))
        code = _lib.unroll_tensor_dtype(self)
        return {"version": 3, "shape": self.shape, "typestr": _TYPESTRS[code],
                "data": (pointer, self.read_only),
                "strides": tuple(s * _ITEMSIZES[code] for s in self.strides)}

    def numpy(self):
        """A NumPy array over the same memory."""
        import numpy
        return numpy.asarray(self)

    def item(self):
        """The only element, as a Python number."""
        return self.numpy().item()

    def __float__(self):
        return float(self.item())

    def __len__(self):
        if not self.ndim:
            raise TypeError("a tensor of rank 0 has no length")
        return self.shape[0]

    def copy(self, dtype=None):
        """A fresh tensor with the same elements, or with them in another type."""
        code = _code(dtype or self.dtype)
        return Tensor._of(_made(_lib.unroll_tensor_copy, self, code))

    def assign(self, values):
        """Writes values of the same shape, so that a tape notices."""
        _lib.unroll_tensor_assign(self, _tensor(values, self.dtype))

    def __repr__(self):
        return "unroll.Tensor(%s, shape=%s)" % (self.dtype, list(self.shape))

    def __dlpack_device__(self):
        return (1, 0)  # the CPU

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        """DLPack's capsule: of the versioned kind where the caller's version allows it."""
        if stream is not None or dl_device not in (None, (1, 0)):
            raise BufferError("unroll: the elements are on the CPU, where there are no streams")
        return _to_capsule(self.copy() if copy else self, bool(max_version and max_version[0] >= 1))

    def __neg__(self):
        return _apply("neg", self)


def _tensor(value, dtype=None):
    """A Tensor as it is; something else as a Tensor, converted where it is no array."""
    if isinstance(value, Tensor):
        return value
    return Tensor(value, None if hasattr(value, "__array_interface__") else dtype)


# ---- DLPack: capsules of two kinds

_python = ctypes.PyDLL(None)
_Destructor = ctypes.CFUNCTYPE(None, c_void_p)
_new_capsule = ctypes.PYFUNCTYPE(ctypes.py_object, c_void_p, c_char_p, _Destructor)(
    ("PyCapsule_New", _python))
# A capsule that is being destroyed must not become an object again: it is passed by its address.
_is_capsule = ctypes.PYFUNCTYPE(c_int, c_void_p, c_char_p)(("PyCapsule_IsValid", _python))
_capsule_pointer = ctypes.PYFUNCTYPE(c_void_p, c_void_p, c_char_p)(
    ("PyCapsule_GetPointer", _python))
_rename_capsule = ctypes.PYFUNCTYPE(c_int, c_void_p, c_char_p)(("PyCapsule_SetName", _python))

# The name of a capsule, the name once it is used, and the functions of its kind.
_KINDS = (
    (b"dltensor", b"used_dltensor", _lib.unroll_tensor_to_dlpack, _lib.unroll_tensor_from_dlpack),
    (b"dltensor_versioned", b"used_dltensor_versioned", _lib.unroll_tensor_to_dlpack_versioned,
     _lib.unroll_tensor_from_dlpack_versioned),
)


@_Destructor
def _drop_capsule(capsule, kinds=_KINDS, made=_made, release=_lib.unroll_tensor_release):
    """Nobody used it: take the tensor back and let go of it."""
    for name, _, _, from_dlpack in kinds:
        if _is_capsule(capsule, name):
            release(made(from_dlpack, _capsule_pointer(capsule, name)))


def _to_capsule(tensor, versioned):
    name, _, to_dlpack, _ = _KINDS[versioned]
    try:
        return _new_capsule(_made(to_dlpack, tensor), name, _drop_capsule)
    except Error as error:  # what the protocol asks for
        raise BufferError(str(error)) from None


def from_dlpack(array):
    """A Tensor over the memory of any CPU array with __dlpack__, such as NumPy's and PyTorch's."""
    try:
        capsule = array.__dlpack__(max_version=(1, 0))
    except TypeError:  # from before DLPack 1.0
        capsule = array.__dlpack__()
    for name, used, _, function in _KINDS:
        if _is_capsule(id(capsule), name):
            tensor = Tensor._of(_made(function, _capsule_pointer(id(capsule), name)))
            _rename_capsule(id(capsule), used)
            return tensor
    raise Error("from_dlpack: %r gave no capsule of DLPack, or a used one" % type(array).__name__)


# ---- operations

def _apply(name, *inputs):
    dtype = next((t.dtype for t in inputs if isinstance(t, Tensor)), None)
    tensors = [_tensor(t, dtype) for t in inputs]
    return Tensor._of(_made(_lib.unroll_apply, name.encode(), _handles(tensors), len(tensors)))


def _operation(name):
    def operation(*inputs):
        return _apply(name, *inputs)
    operation.__name__ = operation.__qualname__ = name
    operation.__doc__ = "%s, as in autograd/ops.h; every live tape of the thread records it." % name
    return operation


_OPERATIONS = ("neg abs square sqrt exp log sin cos tanh sigmoid relu softplus sum mean add sub "
               "mul div maximum minimum matmul linear mse_loss l1_loss").split()
__all__ = ["Tensor", "from_dlpack", "masked_mse"] + _OPERATIONS
for _name in _OPERATIONS:
    globals()[_name] = _operation(_name)

for _method, _name in (("add", "add"), ("sub", "sub"), ("mul", "mul"), ("truediv", "div"),
                       ("matmul", "matmul")):
    setattr(Tensor, "__%s__" % _method, lambda a, b, name=_name: _apply(name, a, b))
    setattr(Tensor, "__r%s__" % _method, lambda a, b, name=_name: _apply(name, b, a))
# NumPy's operators leave mixed expressions to the tensor.
Tensor.__array_ufunc__ = None


def masked_mse(x, target, lengths=None):
    """Mean squared error of [T,N,C] over the steps within each sequence's length."""
    x = _tensor(x)
    return Tensor._of(_made(_lib.unroll_masked_mse, x, _tensor(target, x.dtype),
                            *_lengths(lengths)))
