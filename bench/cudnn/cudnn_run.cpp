// A call owns its descriptors and its memory. Sequences are SEQ_MAJOR_UNPACKED with padded input
// and output, so that lengths need no order. The weights lie in cuDNN's weight space, gate by gate
// where cudnnGetRNNWeightParams says; its linear layers are PyTorch's gates in PyTorch's order,
// those of x first.
#include "bench/cudnn/cudnn_run.h"

#include <array>
#include <memory>
#include <utility>

#include "autograd/ops.h"
#include "bench/cudnn/cudnn_api.h"
#include "bench/cudnn/gpu.h"
#include "core/device_memory.h"
#include "core/error.h"

namespace unroll::bench {
namespace {

struct Algorithm {
  const char* name;
  cudnnRNNAlgo_t algorithm;
};
constexpr Algorithm algorithms[] = {
    {"cuDNN STANDARD", CUDNN_RNN_ALGO_STANDARD},
    {"cuDNN PERSIST_STATIC", CUDNN_RNN_ALGO_PERSIST_STATIC},
    {"cuDNN PERSIST_DYNAMIC", CUDNN_RNN_ALGO_PERSIST_DYNAMIC},
    {"cuDNN PERSIST_STATIC_SMALL_H", CUDNN_RNN_ALGO_PERSIST_STATIC_SMALL_H},
};

cudnnDataType_t type_of(Precision precision) {
  switch (precision) {
    case Precision::float16: return CUDNN_DATA_HALF;
    case Precision::bfloat16: return CUDNN_DATA_BFLOAT16;
    default: return CUDNN_DATA_FLOAT;
  }
}

// The default may round float32 to TF32.
cudnnMathType_t math_of(Precision precision) {
  switch (precision) {
    case Precision::float32: return CUDNN_FMA_MATH;
    case Precision::float16: return CUDNN_TENSOR_OP_MATH;
    default: return CUDNN_DEFAULT_MATH;
  }
}

cudnnRNNMode_t mode_of(const std::string& op) {
  return op == "lstm" ? CUDNN_LSTM : op == "gru" ? CUDNN_GRU : CUDNN_RNN_TANH;
}

// What one of cuDNN's create functions makes, destroyed with its last owner.
template <class T>
std::shared_ptr<T> made(const CudnnApi& api, cudnnStatus_t (*create)(T**),
                        cudnnStatus_t (*destroy)(T*), const char* called) {
  T* made = nullptr;
  api.check(create(&made), called);
  return {made, destroy};
}

Tensor bytes_on(Device device, std::size_t count) {
  return empty({std::int64_t(count)}, Dtype::boolean, device);
}

std::size_t bytes_of(const Tensor& x) { return std::size_t(x.numel()) * size_of(x.dtype()); }

// 0 behind the end of each sequence: cuDNN promises nothing of dx there.
void clear_padding(Tensor& x, const Lengths& lengths) {
  const std::int64_t T = x.shape()[0], N = x.shape()[1], width = x.shape()[2];
  double* const rows = x.mutable_data<double>();
  for (std::int64_t n = 0; lengths && n < N; n++)
    for (std::int64_t t = lengths.values()[std::size_t(n)]; t < T; t++)
      for (std::int64_t u = 0; u < width; u++) rows[(t * N + n) * width + u] = 0;
}

// The library and its handle, which the first layer makes: it takes a while.
class Cudnn {
 public:
  explicit Cudnn(const CudnnApi& functions) : api(functions) {}
  cudnnHandle_t handle() {
    if (!handle_) handle_ = made(api, api.Create, api.Destroy, "cudnnCreate");
    return handle_.get();
  }
  const CudnnApi api;

 private:
  std::shared_ptr<cudnnContext> handle_;
};

class CudnnLayer {
 public:
  CudnnLayer(const std::shared_ptr<Cudnn>& cudnn, cudnnRNNAlgo_t algorithm, const Problem& problem,
             const Inputs& inputs, Device device)
      : cudnn_(cudnn),
        api_(cudnn->api),
        handle_(cudnn->handle()),
        problem_(problem),
        device_(device),
        lengths_(inputs.lengths),
        mode_(step() ? CUDNN_FWD_MODE_TRAINING : CUDNN_FWD_MODE_INFERENCE) {
    const auto stream = static_cast<cudaStream_t>(native_stream(device));
    api_.check(api_.SetStream(handle_, stream), "cudnnSetStream");
    describe_layer(algorithm);
    describe_data();
    set_weights(inputs);
    make_memory(inputs);
    results();  // what cuDNN refuses only when it runs is told here
  }

  void call() {
    api_.check(api_.RNNForward(handle_, layer_.get(), mode_, device_lengths(), x_about_.get(),
                               x_.raw_data(), y_about_.get(), y_.mutable_raw_data(), h_about_.get(),
                               nullptr, h_n_.mutable_raw_data(), h_about_.get(), nullptr, c_n(),
                               bytes_of(weights_), weights_.raw_data(), bytes_of(work_),
                               work_.mutable_raw_data(), bytes_of(reserve_), reserve()),
               "cudnnRNNForward");
    if (step()) backward();
  }

  Tensors results() {
    for (Tensor* const each : {&y_, &h_n_, &c_n_, &dx_})
      if (*each) poison(*each);
    if (step()) clear(d_weights_);
    call();
    Tensors all = {from_device(y_), from_device(h_n_)};
    clear_padding(all[0], lengths_);
    if (c_n_) all.push_back(from_device(c_n_));
    if (!step()) return all;
    all.push_back(from_device(dx_));
    clear_padding(all.back(), lengths_);
    for (const Tensor& gradient : from_weight_space(d_weights_)) all.push_back(gradient);
    return all;
  }

 private:
  bool step() const { return problem_.pass == Pass::step; }
  std::int64_t gates() const { return gates_of(problem_.op); }

  const std::int32_t* device_lengths() const {
    return static_cast<const std::int32_t*>(device_lengths_.raw_data());
  }
  void* c_n() { return c_n_ ? c_n_.mutable_raw_data() : nullptr; }
  void* reserve() { return bytes_of(reserve_) ? reserve_.mutable_raw_data() : nullptr; }

  void describe_layer(cudnnRNNAlgo_t algorithm) {
    const auto [N, T, I, H] = problem_.size;
    dropout_ = made(api_, api_.CreateDropoutDescriptor, api_.DestroyDropoutDescriptor,
                    "cudnnCreateDropoutDescriptor");
    api_.check(api_.SetDropoutDescriptor(dropout_.get(), handle_, 0, nullptr, 0, 0),
               "cudnnSetDropoutDescriptor");
    layer_ =
        made(api_, api_.CreateRNNDescriptor, api_.DestroyRNNDescriptor, "cudnnCreateRNNDescriptor");
    api_.check(api_.SetRNNDescriptor_v8(
                   layer_.get(), algorithm, mode_of(problem_.op), CUDNN_RNN_DOUBLE_BIAS,
                   CUDNN_UNIDIRECTIONAL, CUDNN_LINEAR_INPUT, type_of(problem_.precision),
                   CUDNN_DATA_FLOAT, math_of(problem_.precision), std::int32_t(I), std::int32_t(H),
                   std::int32_t(H), 1, dropout_.get(), CUDNN_RNN_PADDED_IO_ENABLED),
               "cudnnSetRNNDescriptor_v8");
    if (algorithm == CUDNN_RNN_ALGO_PERSIST_DYNAMIC)
      api_.check(api_.BuildRNNDynamic(handle_, layer_.get(), int(N)), "cudnnBuildRNNDynamic");
  }

  std::shared_ptr<cudnnRNNDataStruct> data(std::int64_t width, const std::vector<int>& lengths) {
    auto about = made(api_, api_.CreateRNNDataDescriptor, api_.DestroyRNNDataDescriptor,
                      "cudnnCreateRNNDataDescriptor");
    float zero = 0;  // 0 in every type
    api_.check(
        api_.SetRNNDataDescriptor(about.get(), type_of(problem_.precision),
                                  CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED, int(problem_.size.T),
                                  int(problem_.size.N), int(width), lengths.data(), &zero),
        "cudnnSetRNNDataDescriptor");
    return about;
  }

  std::shared_ptr<cudnnTensorStruct> tensor() {
    return made(api_, api_.CreateTensorDescriptor, api_.DestroyTensorDescriptor,
                "cudnnCreateTensorDescriptor");
  }

  void describe_data() {
    const auto [N, T, I, H] = problem_.size;
    std::vector<int> lengths(problem_.size.N, int(problem_.size.T));
    for (std::size_t n = 0; lengths_ && n < lengths.size(); n++)
      lengths[n] = int(lengths_.values()[n]);
    x_about_ = data(I, lengths);
    y_about_ = data(H, lengths);
    h_about_ = tensor();
    const int size[] = {1, int(N), int(H)}, stride[] = {int(N * H), int(H), 1};
    api_.check(
        api_.SetTensorNdDescriptor(h_about_.get(), type_of(problem_.precision), 3, size, stride),
        "cudnnSetTensorNdDescriptor");
    device_lengths_ = bytes_on(device_, lengths.size() * sizeof(int));
    device_memory::upload(device_, device_lengths_.mutable_raw_data(), lengths.data(),
                          lengths.size() * sizeof(int));
  }

  // ---- The weight space

  struct Part {
    void *matrix, *bias;  // [H,columns], [H]
  };

  // Where a gate's weights lie: those of x, or those of h.
  Part part_of(Tensor& space, bool of_h, std::int64_t gate) {
    const std::int64_t H = problem_.size.H, columns = of_h ? H : problem_.size.I;
    const auto matrix = tensor(), bias = tensor();
    Part part{};
    api_.check(api_.GetRNNWeightParams(handle_, layer_.get(), 0, bytes_of(space), space.raw_data(),
                                       std::int32_t(gate + (of_h ? gates() : 0)), matrix.get(),
                                       &part.matrix, bias.get(), &part.bias),
               "cudnnGetRNNWeightParams");
    require_numbers(matrix.get(), H * columns);
    require_numbers(bias.get(), H);
    return part;
  }

  void require_numbers(cudnnTensorDescriptor_t about, std::int64_t wanted) {
    std::array<int, 8> size{}, stride{};
    cudnnDataType_t type;
    int rank = 0;
    api_.check(api_.GetTensorNdDescriptor(about, int(size.size()), &type, &rank, size.data(),
                                          stride.data()),
               "cudnnGetTensorNdDescriptor");
    std::int64_t numbers = 1;
    for (int i = 0; i < rank; i++) numbers *= size[std::size_t(i)];
    if (numbers != wanted || type != type_of(problem_.precision))
      fail("cudnn", "a weight of another size or type than that of the layer");
  }

  // Calls each(matrix or bias in the space, which of w_ih, w_hh, b_ih, b_hh, the gate).
  template <class Each>
  void for_parts(Tensor& space, const Each& each) {
    for (const bool of_h : {false, true})
      for (std::int64_t gate = 0; gate < gates(); gate++) {
        const Part part = part_of(space, of_h, gate);
        each(part.matrix, of_h ? 1 : 0, gate);
        each(part.bias, of_h ? 3 : 2, gate);
      }
  }

  // The gate's share of one of the four.
  std::size_t share(const Tensor& x) const { return bytes_of(x) / std::size_t(gates()); }

  void set_weights(const Inputs& inputs) {
    std::size_t bytes = 0;
    api_.check(api_.GetRNNWeightSpaceSize(handle_, layer_.get(), &bytes),
               "cudnnGetRNNWeightSpaceSize");
    weights_ = bytes_on(device_, bytes);
    clear(weights_);
    Tensors dense;
    for (int i = 1; i < 5; i++)
      dense.push_back(
          on_device(inputs.layer[std::size_t(i)], stored_as(problem_.precision), device_));
    for_parts(weights_, [&](void* part, int which, std::int64_t gate) {
      const Tensor& from = dense[std::size_t(which)];
      const auto* const first = static_cast<const std::byte*>(from.raw_data());
      device_memory::copy(device_, part, first + share(from) * std::size_t(gate), share(from));
    });
  }

  Tensors from_weight_space(Tensor& space) {
    const auto [N, T, I, H] = problem_.size;
    const std::int64_t rows = gates() * H;
    Tensors dense;
    for (const Shape& shape : {Shape{rows, I}, Shape{rows, H}, Shape{rows}, Shape{rows}})
      dense.push_back(empty(shape, stored_as(problem_.precision), device_));
    for_parts(space, [&](void* part, int which, std::int64_t gate) {
      Tensor& into = dense[std::size_t(which)];
      auto* const first = static_cast<std::byte*>(into.mutable_raw_data());
      device_memory::copy(device_, first + share(into) * std::size_t(gate), part, share(into));
    });
    for (Tensor& each : dense) each = from_device(each);
    return dense;
  }

  // ---- Memory

  void make_memory(const Inputs& inputs) {
    const auto [N, T, I, H] = problem_.size;
    const Dtype dtype = stored_as(problem_.precision);
    x_ = on_device(inputs.layer[0], dtype, device_);
    y_ = empty({T, N, H}, dtype, device_);
    h_n_ = empty({N, H}, dtype, device_);
    if (has_cell(problem_.op)) c_n_ = empty({N, H}, dtype, device_);
    std::size_t work = 0, reserve = 0;
    api_.check(
        api_.GetRNNTempSpaceSizes(handle_, layer_.get(), mode_, x_about_.get(), &work, &reserve),
        "cudnnGetRNNTempSpaceSizes");
    work_ = bytes_on(device_, work);
    reserve_ = bytes_on(device_, step() ? reserve : 0);
    if (!step()) return;
    dy_ = on_device(inputs.dy, dtype, device_);
    dx_ = empty({T, N, I}, dtype, device_);
    d_weights_ = bytes_on(device_, bytes_of(weights_));
  }

  // Gradients of weights are added to what is there, the only way that cuDNN has.
  void backward() {
    api_.check(api_.RNNBackwardData_v8(handle_, layer_.get(), device_lengths(), y_about_.get(),
                                       y_.raw_data(), dy_.raw_data(), x_about_.get(),
                                       dx_.mutable_raw_data(), h_about_.get(), nullptr, nullptr,
                                       nullptr, h_about_.get(), nullptr, nullptr, nullptr,
                                       bytes_of(weights_), weights_.raw_data(), bytes_of(work_),
                                       work_.mutable_raw_data(), bytes_of(reserve_), reserve()),
               "cudnnRNNBackwardData_v8");
    api_.check(api_.RNNBackwardWeights_v8(
                   handle_, layer_.get(), CUDNN_WGRAD_MODE_ADD, device_lengths(), x_about_.get(),
                   x_.raw_data(), h_about_.get(), nullptr, y_about_.get(), y_.raw_data(),
                   bytes_of(d_weights_), d_weights_.mutable_raw_data(), bytes_of(work_),
                   work_.mutable_raw_data(), bytes_of(reserve_), reserve()),
               "cudnnRNNBackwardWeights_v8");
  }

  std::shared_ptr<Cudnn> cudnn_;
  const CudnnApi& api_;
  cudnnHandle_t handle_;
  Problem problem_;
  Device device_;
  Lengths lengths_;
  cudnnForwardMode_t mode_;
  std::shared_ptr<cudnnDropoutStruct> dropout_;
  std::shared_ptr<cudnnRNNStruct> layer_;
  std::shared_ptr<cudnnRNNDataStruct> x_about_, y_about_;
  std::shared_ptr<cudnnTensorStruct> h_about_;
  Tensor device_lengths_, weights_, d_weights_, work_, reserve_;  // bytes
  Tensor x_, y_, h_n_, c_n_, dy_, dx_;
};

}  // namespace

std::vector<Contender> contenders_of(const CudnnApi& api) {
  const auto cudnn = std::make_shared<Cudnn>(api);
  std::vector<Contender> all;
  for (const Algorithm& each : algorithms) {
    const cudnnRNNAlgo_t algorithm = each.algorithm;
    all.push_back(
        {.name = each.name,
         .prepare =
             [cudnn, algorithm](const Problem& problem, const Inputs& inputs, Device device) {
               const auto layer =
                   std::make_shared<CudnnLayer>(cudnn, algorithm, problem, inputs, device);
               return Run{[layer] { layer->call(); }, [layer] { return layer->results(); }};
             },
         .is_peer = true});
  }
  return all;
}

CudnnContenders cudnn_contenders(const std::string& file) {
  try {
    const CudnnApi api = load_cudnn(file);
    return {contenders_of(api), "cuDNN " + api.version()};
  } catch (const Error& error) {
    return {{}, std::string("no cuDNN: ") + error.what()};
  }
}

}  // namespace unroll::bench
