// Our kernels, called as autograd/ calls them, and a user's LSTM in place of ours.
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "autograd/ops.h"
#include "bench/cudnn/contender.h"
#include "core/device_memory.h"
#include "core/error.h"
#include "core/view.h"
#include "kernels/gru.h"
#include "kernels/recurrent_half.h"
#include "kernels/rnn.h"

namespace unroll::bench {

Tensor on_device(const Tensor& x, Dtype dtype, Device device) { return to(to(x, dtype), device); }

Tensor from_device(const Tensor& x) { return to(to(x, Device::cpu()), Dtype::float64); }

void poison(Tensor& x) {
  const std::vector<unsigned char> bytes(std::size_t(x.numel()) * size_of(x.dtype()), 0xff);
  device_memory::upload(x.device(), x.mutable_raw_data(), bytes.data(), bytes.size());
}

void clear(Tensor& x) {
  device_memory::clear(x.device(), x.mutable_raw_data(),
                       std::size_t(x.numel()) * size_of(x.dtype()));
}

namespace {

// The kernels of a family on a device: `stem` as in kernels/, or with "_half" as in
// kernels/recurrent_half.h, whose states, weights and inputs are Number.
#define UNROLL_BENCH_FAMILY(Family, stem, Stem, Args, Number, cell)               \
  struct Family {                                                                 \
    using Stored = Number;                                                        \
    using Shape = Stem##Shape;                                                    \
    using Forward = Stem##Forward##Args<Number>;                                  \
    using Pullback = Stem##Pullback##Args<Number>;                                \
    static constexpr bool has_cell = cell;                                        \
    static RecurrentSizes sizes(Device device, const Shape& s) {                  \
      switch (device.kind) {                                                      \
        UNROLL_GPU_RETURNS(device, stem##_sizes<Number>(s))                       \
        default: fail("cudnn_bench", "a device that is no GPU: " + name(device)); \
      }                                                                           \
    }                                                                             \
    static void forward(Device device, const Shape& s, const Forward& args) {     \
      switch (device.kind) {                                                      \
        UNROLL_GPU_CASES(device, stem##_forward<Number>(s, args))                 \
        default: break;                                                           \
      }                                                                           \
    }                                                                             \
    static void pull(Device device, const Shape& s, const Pullback& args) {       \
      switch (device.kind) {                                                      \
        UNROLL_GPU_CASES(device, stem##_pullback<Number>(s, args))                \
        default: break;                                                           \
      }                                                                           \
    }                                                                             \
  };
UNROLL_BENCH_FAMILY(LstmFamily, lstm, Lstm, , float, true)
UNROLL_BENCH_FAMILY(GruFamily, gru, Gru, , float, false)
UNROLL_BENCH_FAMILY(RnnFamily, rnn, Rnn, , float, false)
UNROLL_BENCH_FAMILY(LstmFloat16, lstm_half, Lstm, Half, Float16, true)
UNROLL_BENCH_FAMILY(LstmBfloat16, lstm_half, Lstm, Half, Bfloat16, true)
UNROLL_BENCH_FAMILY(GruFloat16, gru_half, Gru, Half, Float16, false)
UNROLL_BENCH_FAMILY(GruBfloat16, gru_half, Gru, Half, Bfloat16, false)

template <class Family>
class LayerRun {
  using Stored = typename Family::Stored;
  static constexpr Dtype stored = dtype_of<Stored>();

 public:
  using Kernel =
      std::function<void(const typename Family::Shape&, const typename Family::Forward&)>;

  LayerRun(const Problem& problem, const Inputs& inputs, Device device, const Kernel& forward)
      : device_(device),
        step_(problem.pass == Pass::step),
        forward_(forward),
        lengths_(inputs.lengths) {
    const auto [N, T, I, H] = problem.size;
    for (std::size_t i = 0; i < inputs.layer.size(); i++)  // biases are float
      layer_.push_back(on_device(inputs.layer[i], i < 3 ? stored : Dtype::float32, device));
    shape_ = typename Family::Shape{{.T = T, .N = N, .I = I, .H = H}};
    if (lengths_) shape_.lengths = lengths_.view("cudnn_bench", T, N, device);
    const RecurrentSizes sizes = Family::sizes(device, shape_);
    h_ = empty({T + 1, N, H}, stored, device);
    h_n_ = empty({N, H}, stored, device);
    if (Family::has_cell) {
      c_ = empty({T + 1, N, H}, Dtype::float32, device);
      c_n_ = empty({N, H}, Dtype::float32, device);
    }
    scratch_ = empty({sizes.forward_scratch}, Dtype::float32, device);
    if (sizes.packed) packed_ = empty({sizes.packed}, Dtype::float32, device);
    set_forward();
    if (step_) set_pullback(on_device(inputs.dy, stored, device), sizes);
    start();
  }

  void call() {
    forward_(shape_, forward_args_);
    // A step finds its weights changed.
    if constexpr (has_packs) forward_args_.packs = step_ || forward_args_.packed == nullptr;
    if (step_) Family::pull(device_, shape_, pull_args_);
  }

  Tensors results() {
    start();
    call();
    device_memory::require_launched("unroll", device_);
    Tensors all = {from_device(view::slice(h_, 0, 1, shape_.T + 1)), from_device(h_n_)};
    if (Family::has_cell) all.push_back(from_device(c_n_));
    for (const Tensor& gradient : gradients_) all.push_back(from_device(gradient));
    return all;
  }

 private:
  static constexpr bool has_packs = requires(typename Family::Forward a) { a.packs; };

  // A state of zeros, and NaN in all that is to be written.
  void start() {
    for (Tensor* const states : {&h_, &c_}) {
      if (!*states) continue;
      poison(*states);
      device_memory::clear(device_, states->mutable_raw_data(),
                           std::size_t(shape_.N * shape_.H) * size_of(states->dtype()));
    }
    poison(h_n_);
    if (c_n_) poison(c_n_);
    for (Tensor& gradient : gradients_) poison(gradient);
  }

  void set_forward() {
    auto& a = forward_args_;
    a.x = layer_[0].template data<Stored>();
    a.w_ih = layer_[1].template data<Stored>();
    a.w_hh = layer_[2].template data<Stored>();
    a.b_ih = layer_[3].template data<float>();
    a.b_hh = layer_[4].template data<float>();
    a.h = h_.template mutable_data<Stored>();
    a.h_n = h_n_.template mutable_data<Stored>();
    a.scratch = scratch_.template mutable_data<float>();
    if constexpr (has_packs) {
      if (packed_) a.packed = packed_.template mutable_data<float>();
    }
    if constexpr (Family::has_cell) {
      a.c = c_.template mutable_data<float>();
      a.c_n = c_n_.template mutable_data<float>();
    }
  }

  void set_pullback(const Tensor& dy, const RecurrentSizes& sizes) {
    dy_ = dy;
    saved_ = empty({sizes.saved}, Dtype::float32, device_);
    if (sizes.saved) forward_args_.saved = saved_.template mutable_data<float>();
    pull_scratch_ = empty({sizes.pullback_scratch}, Dtype::float32, device_);
    for (const Tensor& x : layer_) gradients_.push_back(empty(x.shape(), Dtype::float32, device_));
    auto& a = pull_args_;
    a.x = forward_args_.x;
    a.w_ih = forward_args_.w_ih;
    a.w_hh = forward_args_.w_hh;
    a.h = forward_args_.h;
    if constexpr (Family::has_cell) a.c = forward_args_.c;
    a.saved = forward_args_.saved;
    a.dy = dy_.template data<Stored>();
    a.dx = gradients_[0].template mutable_data<float>();
    a.dw_ih = gradients_[1].template mutable_data<float>();
    a.dw_hh = gradients_[2].template mutable_data<float>();
    a.db_ih = gradients_[3].template mutable_data<float>();
    a.db_hh = gradients_[4].template mutable_data<float>();
    a.scratch = pull_scratch_.template mutable_data<float>();
  }

  Device device_;
  bool step_;
  Kernel forward_;
  Lengths lengths_;
  typename Family::Shape shape_;
  Tensors layer_, gradients_;
  Tensor h_, c_, h_n_, c_n_, dy_, saved_, scratch_, pull_scratch_, packed_;
  typename Family::Forward forward_args_ = {};
  typename Family::Pullback pull_args_ = {};
};

template <class Family>
Run run_of(const Problem& problem, const Inputs& inputs, Device device,
           const typename LayerRun<Family>::Kernel& forward) {
  const auto run = std::make_shared<LayerRun<Family>>(problem, inputs, device, forward);
  return {[run] { run->call(); }, [run] { return run->results(); }};
}

template <class Family>
Run our_run(const Problem& problem, const Inputs& inputs, Device device) {
  return run_of<Family>(problem, inputs, device, [device](const auto& s, const auto& args) {
    Family::forward(device, s, args);
  });
}

}  // namespace

Contender unroll_contender() {
  using Key = std::pair<std::string, Precision>;
  static const std::map<Key, decltype(&our_run<LstmFamily>)> runs = {
      {{"lstm", Precision::float32}, our_run<LstmFamily>},
      {{"gru", Precision::float32}, our_run<GruFamily>},
      {{"rnn", Precision::float32}, our_run<RnnFamily>},
      {{"lstm", Precision::float16}, our_run<LstmFloat16>},
      {{"gru", Precision::float16}, our_run<GruFloat16>},
      {{"lstm", Precision::bfloat16}, our_run<LstmBfloat16>},
      {{"gru", Precision::bfloat16}, our_run<GruBfloat16>}};
  return {
      "unroll", [](const Problem& problem, const Inputs& inputs, Device device) {
        const auto found = runs.find({problem.op, problem.precision});
        if (found == runs.end())
          throw NotSupported("no kernels of " + problem.op + " in " + name_of(problem.precision));
        return found->second(problem, inputs, device);
      }};
}

Contender lstm_forward_contender(const std::string& name, const GpuLstmForward& kernel,
                                 bool takes_lengths) {
  return {name, [=](const Problem& problem, const Inputs& inputs, Device device) {
            if (problem.op != "lstm" || problem.pass != Pass::forward ||
                problem.precision != Precision::float32)
              throw NotSupported("an LSTM forward in float32");
            if (problem.variable && !takes_lengths) throw NotSupported("takes full sequences");
            return run_of<LstmFamily>(problem, inputs, device, kernel);
          }};
}

}  // namespace unroll::bench
