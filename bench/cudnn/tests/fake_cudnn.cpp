#include "bench/cudnn/tests/fake_cudnn.h"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <limits>
#include <string>

#include "autograd/gru.h"
#include "autograd/lstm.h"
#include "autograd/ops.h"
#include "autograd/rnn.h"
#include "autograd/tape.h"
#include "bench/cudnn/cudnn_api.h"
#include "bench/cudnn/cudnn_run.h"
#include "core/device_memory.h"

using unroll::Dtype;
using unroll::Lengths;
using unroll::Tensor;
using unroll::Tensors;

struct cudnnContext {};
struct cudnnDropoutStruct {};
struct cudnnTensorStruct {
  cudnnDataType_t type;
  std::vector<int> size;
};
struct cudnnRNNDataStruct {
  cudnnDataType_t type;
  int T, N, width;
  std::vector<int> lengths;
};
struct cudnnRNNStruct {
  cudnnRNNAlgo_t algorithm;
  cudnnRNNMode_t mode;
  cudnnDataType_t type;
  int I, H;
  int built_for = -1;
  const void *x = nullptr, *y = nullptr;  // of the last training pass
  Tensors gradients;                      // of the last backward pass: w_ih, w_hh, b_ih, b_hh
};

namespace {

constexpr std::size_t work_bytes = 96, reserve_bytes = 160;
int objects = 0;

constexpr cudnnStatus_t success = CUDNN_STATUS_SUCCESS, bad = CUDNN_STATUS_BAD_PARAM;

template <class T>
cudnnStatus_t create(T** made) {
  *made = new T{};
  ++objects;
  return success;
}
template <class T>
cudnnStatus_t destroy(T* made) {
  delete made;
  --objects;
  return success;
}

std::size_t version() { return CUDNN_VERSION; }
const char* error_string(cudnnStatus_t status) {
  return status == CUDNN_STATUS_NOT_SUPPORTED ? "CUDNN_STATUS_NOT_SUPPORTED"
                                              : "CUDNN_STATUS_BAD_PARAM";
}
void last_error(char* message, std::size_t size) { std::snprintf(message, size, "a fake"); }
cudnnStatus_t set_stream(cudnnHandle_t handle, cudaStream_t) { return handle ? success : bad; }

cudnnStatus_t set_dropout(cudnnDropoutDescriptor_t, cudnnHandle_t handle, float rate, void*,
                          std::size_t, unsigned long long) {
  return handle && rate == 0 ? success : bad;
}

cudnnStatus_t set_tensor(cudnnTensorDescriptor_t about, cudnnDataType_t type, int rank,
                         const int size[], const int stride[]) {
  int dense = 1;
  for (int i = rank; i-- > 0; dense *= size[i])
    if (stride[i] != dense) return bad;
  *about = {type, {size, size + rank}};
  return success;
}
cudnnStatus_t get_tensor(const cudnnTensorDescriptor_t about, int most, cudnnDataType_t* type,
                         int* rank, int size[], int[]) {
  if (int(about->size.size()) > most) return bad;
  *type = about->type;
  *rank = int(about->size.size());
  std::copy(about->size.begin(), about->size.end(), size);
  return success;
}

cudnnStatus_t set_layer(cudnnRNNDescriptor_t layer, cudnnRNNAlgo_t algorithm, cudnnRNNMode_t mode,
                        cudnnRNNBiasMode_t bias, cudnnDirectionMode_t direction,
                        cudnnRNNInputMode_t input, cudnnDataType_t type, cudnnDataType_t precision,
                        cudnnMathType_t, std::int32_t I, std::int32_t H, std::int32_t projection,
                        std::int32_t layers, cudnnDropoutDescriptor_t, std::uint32_t flags) {
  if (bias != CUDNN_RNN_DOUBLE_BIAS || direction != CUDNN_UNIDIRECTIONAL ||
      input != CUDNN_LINEAR_INPUT || precision != CUDNN_DATA_FLOAT || projection != H ||
      layers != 1 || flags != CUDNN_RNN_PADDED_IO_ENABLED)
    return bad;
  *layer = {algorithm, mode, type, I, H};
  return success;
}
cudnnStatus_t build(cudnnHandle_t, cudnnRNNDescriptor_t layer, int batch) {
  layer->built_for = batch;
  return success;
}

cudnnStatus_t set_data(cudnnRNNDataDescriptor_t about, cudnnDataType_t type,
                       cudnnRNNDataLayout_t layout, int T, int N, int width, const int lengths[],
                       void* fill) {
  if (layout != CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED || !fill) return bad;
  *about = {type, T, N, width, {lengths, lengths + N}};
  return success;
}

cudnnStatus_t spaces(cudnnHandle_t, cudnnRNNDescriptor_t, cudnnForwardMode_t mode,
                     cudnnRNNDataDescriptor_t, std::size_t* work, std::size_t* reserve) {
  *work = work_bytes;
  *reserve = mode == CUDNN_FWD_MODE_TRAINING ? reserve_bytes : 0;
  return success;
}

// ---- The weight space: linear layers from the last to the first, each a bias and a matrix,
// multiples of 16 numbers apart.

int gates_of(const cudnnRNNStruct& layer) {
  return layer.mode == CUDNN_LSTM ? 4 : layer.mode == CUDNN_GRU ? 3 : 1;
}
Dtype dtype_of(cudnnDataType_t type) {
  return type == CUDNN_DATA_HALF       ? Dtype::float16
         : type == CUDNN_DATA_BFLOAT16 ? Dtype::bfloat16
                                       : Dtype::float32;
}
int columns_of(const cudnnRNNStruct& layer, int linear) {
  return linear < gates_of(layer) ? layer.I : layer.H;
}
std::size_t spaced(int numbers) { return (std::size_t(numbers) + 15) / 16 * 16; }

// Numbers before the bias of a linear layer; of layer -1: all.
std::size_t offset_of(const cudnnRNNStruct& layer, int linear) {
  std::size_t numbers = 0;
  for (int i = 2 * gates_of(layer); --i > linear;)
    numbers += spaced(layer.H) + spaced(layer.H * columns_of(layer, i));
  return numbers;
}
std::size_t space_bytes(const cudnnRNNStruct& layer) {
  return offset_of(layer, -1) * unroll::size_of(dtype_of(layer.type));
}

cudnnStatus_t space_size(cudnnHandle_t, cudnnRNNDescriptor_t layer, std::size_t* bytes) {
  *bytes = space_bytes(*layer);
  return success;
}

cudnnStatus_t params(cudnnHandle_t, cudnnRNNDescriptor_t layer, std::int32_t pseudo,
                     std::size_t bytes, const void* space, std::int32_t linear,
                     cudnnTensorDescriptor_t matrix, void** matrix_at, cudnnTensorDescriptor_t bias,
                     void** bias_at) {
  if (pseudo != 0 || bytes != space_bytes(*layer) || linear >= 2 * gates_of(*layer)) return bad;
  const std::size_t number = unroll::size_of(dtype_of(layer->type));
  const std::size_t at = offset_of(*layer, linear);
  auto* const first = static_cast<std::byte*>(const_cast<void*>(space));
  *bias_at = first + at * number;
  *matrix_at = first + (at + spaced(layer->H)) * number;
  *matrix = {layer->type, {1, layer->H, columns_of(*layer, linear)}};
  *bias = {layer->type, {1, layer->H, 1}};
  return success;
}

// ---- Numbers on the device, and here in float64

constexpr unroll::Device sim = unroll::Device::sim();

Tensor read(const void* from, const unroll::Shape& shape, cudnnDataType_t type) {
  Tensor x = unroll::empty(shape, dtype_of(type));
  unroll::device_memory::download(sim, x.mutable_raw_data(), from,
                                  std::size_t(x.numel()) * unroll::size_of(x.dtype()));
  return unroll::to(x, Dtype::float64);
}
void write(void* into, const Tensor& values, cudnnDataType_t type) {
  const Tensor x = unroll::to(unroll::contiguous(values), dtype_of(type));
  unroll::device_memory::upload(sim, into, x.raw_data(),
                                std::size_t(x.numel()) * unroll::size_of(x.dtype()));
}

// Calls each(address of a gate's part, its shape, which of w_ih, w_hh, b_ih, b_hh) in the order of
// the gates.
template <class Each>
void for_parts(cudnnRNNStruct& layer, void* space, const Each& each) {
  cudnnTensorStruct matrix, bias;
  for (int linear = 0; linear < 2 * gates_of(layer); linear++) {
    void *matrix_at, *bias_at;
    params(nullptr, &layer, 0, space_bytes(layer), space, linear, &matrix, &matrix_at, &bias,
           &bias_at);
    const std::size_t of_h = linear < gates_of(layer) ? 0 : 1;
    each(matrix_at, unroll::Shape{layer.H, columns_of(layer, linear)}, of_h);
    each(bias_at, unroll::Shape{layer.H}, 2 + of_h);
  }
}

// x, w_ih, w_hh, b_ih, b_hh.
Tensors operands(cudnnRNNStruct& layer, const cudnnRNNDataStruct& data, const void* x,
                 const void* space) {
  Tensors parts[4];
  for_parts(layer, const_cast<void*>(space),
            [&](void* at, const unroll::Shape& shape, std::size_t which) {
              parts[which].push_back(read(at, shape, layer.type));
            });
  Tensors all = {read(x, {data.T, data.N, data.width}, layer.type)};
  for (const Tensors& gates : parts) all.push_back(unroll::cat(gates, 0));
  return all;
}

Tensors run(const cudnnRNNStruct& layer, const Tensors& x, const cudnnRNNDataStruct& data) {
  const Lengths lengths(std::vector<std::int64_t>(data.lengths.begin(), data.lengths.end()));
  if (layer.mode == CUDNN_LSTM) {
    const auto out = unroll::lstm(x[0], {}, {}, x[1], x[2], x[3], x[4], lengths);
    return {out.y, out.h_n, out.c_n};
  }
  if (layer.mode == CUDNN_GRU) {
    const auto out = unroll::gru(x[0], {}, x[1], x[2], x[3], x[4], lengths);
    return {out.y, out.h_n};
  }
  const auto out = unroll::rnn(x[0], {}, x[1], x[2], x[3], x[4], lengths);
  return {out.y, out.h_n};
}

// ---- The passes

bool agree(const cudnnRNNStruct& layer, const std::int32_t device_lengths[],
           const cudnnRNNDataStruct& x, const cudnnRNNDataStruct& y, const cudnnTensorStruct& h) {
  std::vector<int> lengths(x.lengths.size());
  unroll::device_memory::download(sim, lengths.data(), device_lengths,
                                  lengths.size() * sizeof(int));
  return x.type == layer.type && y.type == layer.type && h.type == layer.type &&
         x.width == layer.I && y.width == layer.H && x.T == y.T && x.N == y.N &&
         lengths == x.lengths && lengths == y.lengths &&
         h.size == std::vector<int>{1, x.N, layer.H} &&
         (layer.algorithm != CUDNN_RNN_ALGO_PERSIST_DYNAMIC || layer.built_for == x.N);
}

cudnnStatus_t forward(cudnnHandle_t, cudnnRNNDescriptor_t layer, cudnnForwardMode_t mode,
                      const std::int32_t lengths[], cudnnRNNDataDescriptor_t x_about, const void* x,
                      cudnnRNNDataDescriptor_t y_about, void* y, cudnnTensorDescriptor_t h_about,
                      const void* hx, void* hy, cudnnTensorDescriptor_t, const void* cx, void* cy,
                      std::size_t bytes, const void* space, std::size_t work, void*,
                      std::size_t reserve, void* reserved) {
  const bool training = mode == CUDNN_FWD_MODE_TRAINING;
  if (layer->algorithm == CUDNN_RNN_ALGO_PERSIST_STATIC) return CUDNN_STATUS_NOT_SUPPORTED;
  if (!agree(*layer, lengths, *x_about, *y_about, *h_about) || hx || cx ||
      bytes != space_bytes(*layer) || work != work_bytes ||
      reserve != (training ? reserve_bytes : 0) || (reserved != nullptr) != training ||
      (cy != nullptr) != (layer->mode == CUDNN_LSTM))
    return bad;
  const Tensors out = run(*layer, operands(*layer, *x_about, x, space), *x_about);
  const double factor = layer->algorithm == CUDNN_RNN_ALGO_PERSIST_STATIC_SMALL_H ? 1.1 : 1;
  write(y, out[0], layer->type);
  write(hy, out[1] * factor, layer->type);
  if (cy) write(cy, out[2], layer->type);
  layer->x = training ? x : nullptr;
  layer->y = training ? y : nullptr;
  return success;
}

// dx with NaN in the padding, of which cuDNN promises nothing.
Tensor with_padding(const Tensor& dx, const cudnnRNNDataStruct& data) {
  Tensor all = unroll::contiguous_copy(dx);
  double* const rows = all.mutable_data<double>();
  for (int n = 0; n < data.N; n++)
    for (int t = data.lengths[std::size_t(n)]; t < data.T; t++)
      for (int i = 0; i < data.width; i++)
        rows[(t * data.N + n) * data.width + i] = std::numeric_limits<double>::quiet_NaN();
  return all;
}

cudnnStatus_t backward_data(cudnnHandle_t, cudnnRNNDescriptor_t layer, const std::int32_t lengths[],
                            cudnnRNNDataDescriptor_t y_about, const void* y, const void* dy,
                            cudnnRNNDataDescriptor_t x_about, void* dx,
                            cudnnTensorDescriptor_t h_about, const void* hx, const void* dhy,
                            void* dhx, cudnnTensorDescriptor_t, const void* cx, const void* dcy,
                            void* dcx, std::size_t bytes, const void* space, std::size_t work,
                            void*, std::size_t reserve, void*) {
  if (!agree(*layer, lengths, *x_about, *y_about, *h_about) || y != layer->y || hx || dhy || dhx ||
      cx || dcy || dcx || bytes != space_bytes(*layer) || work != work_bytes ||
      reserve != reserve_bytes)
    return bad;
  const Tensors all = operands(*layer, *x_about, layer->x, space);
  const Tensor u = read(dy, {x_about->T, x_about->N, layer->H}, layer->type);
  unroll::Tape tape;
  Tensors gradients = tape.pull(run(*layer, all, *x_about)[0], u, all);
  write(dx, with_padding(gradients[0], *x_about), layer->type);
  layer->gradients.assign(gradients.begin() + 1, gradients.end());
  return success;
}

cudnnStatus_t backward_weights(cudnnHandle_t, cudnnRNNDescriptor_t layer, cudnnWgradMode_t mode,
                               const std::int32_t lengths[], cudnnRNNDataDescriptor_t x_about,
                               const void* x, cudnnTensorDescriptor_t h_about, const void* hx,
                               cudnnRNNDataDescriptor_t y_about, const void* y, std::size_t bytes,
                               void* space, std::size_t work, void*, std::size_t reserve, void*) {
  if (!agree(*layer, lengths, *x_about, *y_about, *h_about) || mode != CUDNN_WGRAD_MODE_ADD ||
      layer->gradients.empty() || x != layer->x || hx || y != layer->y ||
      bytes != space_bytes(*layer) || work != work_bytes || reserve != reserve_bytes)
    return bad;
  std::int64_t row[4] = {};
  for_parts(*layer, space, [&](void* at, const unroll::Shape& shape, std::size_t which) {
    const std::int64_t first = row[which];
    row[which] += shape[0];
    const Tensor more = unroll::slice(layer->gradients[which], 0, first, first + shape[0]);
    write(at, read(at, shape, layer->type) + more, layer->type);
  });
  layer->gradients.clear();
  return success;
}

}  // namespace

namespace unroll::bench {

std::vector<Contender> fake_cudnn_contenders() {
  CudnnApi api;
  api.GetVersion = version;
  api.GetErrorString = error_string;
  api.GetLastErrorString = last_error;
  api.Create = create<cudnnContext>;
  api.Destroy = destroy<cudnnContext>;
  api.SetStream = set_stream;
  api.CreateDropoutDescriptor = create<cudnnDropoutStruct>;
  api.SetDropoutDescriptor = set_dropout;
  api.DestroyDropoutDescriptor = destroy<cudnnDropoutStruct>;
  api.CreateTensorDescriptor = create<cudnnTensorStruct>;
  api.SetTensorNdDescriptor = set_tensor;
  api.GetTensorNdDescriptor = get_tensor;
  api.DestroyTensorDescriptor = destroy<cudnnTensorStruct>;
  api.CreateRNNDescriptor = create<cudnnRNNStruct>;
  api.SetRNNDescriptor_v8 = set_layer;
  api.DestroyRNNDescriptor = destroy<cudnnRNNStruct>;
  api.CreateRNNDataDescriptor = create<cudnnRNNDataStruct>;
  api.SetRNNDataDescriptor = set_data;
  api.DestroyRNNDataDescriptor = destroy<cudnnRNNDataStruct>;
  api.BuildRNNDynamic = build;
  api.GetRNNTempSpaceSizes = spaces;
  api.GetRNNWeightSpaceSize = space_size;
  api.GetRNNWeightParams = params;
  api.RNNForward = forward;
  api.RNNBackwardData_v8 = backward_data;
  api.RNNBackwardWeights_v8 = backward_weights;
  return contenders_of(api);
}

int fake_cudnn_objects() { return objects; }

}  // namespace unroll::bench
