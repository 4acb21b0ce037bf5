// The worker of oneDNN's recurrent primitives: LSTM, "linear before reset" GRU (PyTorch's), and
// vanilla RNN. Versions 2 and 3.
//
// Primitives, memory and weights are ready before the clock runs, the weights in the layouts that
// the primitives choose (format_tag::any), one for each pass. A call is execute() and wait(): the
// least that a user of the primitives pays; one who trains also reorders the new weights.
// Primitives add to the gradients of the weights, and nothing clears these while the clock runs.
#include <cstring>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>

#include "bench/compare/worker.h"
#include "core/error.h"

namespace unroll::compare {
namespace {

using Dims = dnnl::memory::dims;
using Desc = dnnl::memory::desc;
using Tag = dnnl::memory::format_tag;
using Arguments = std::unordered_map<int, dnnl::memory>;
constexpr auto f32 = dnnl::memory::data_type::f32;
constexpr auto left_to_right = dnnl::rnn_direction::unidirectional_left2right;

Desc desc_of(const Dims& dims, Tag tag) { return Desc(dims, f32, tag); }

// The constructors of version 3, spelled in those of version 2 where that is here.
template <class Primitive, class... Arg>
typename Primitive::primitive_desc describe(const dnnl::engine& engine, const Arg&... arg) {
#if DNNL_VERSION_MAJOR >= 3
  return typename Primitive::primitive_desc(engine, arg...);
#else
  return typename Primitive::primitive_desc(typename Primitive::desc(arg...), engine);
#endif
}

template <class Primitive, class Forward, class... Arg>
typename Primitive::primitive_desc describe_backward(const dnnl::engine& engine,
                                                     const Forward& forward, const Arg&... arg) {
#if DNNL_VERSION_MAJOR >= 3
  return typename Primitive::primitive_desc(engine, arg..., forward);
#else
  return typename Primitive::primitive_desc(typename Primitive::desc(arg...), engine, forward);
#endif
}

// What the three families' primitives are made from.
struct Descs {
  Desc x, w_ih, w_hh, b, y, h_n;
};

struct Lstm {
  using Forward = dnnl::lstm_forward;
  using Backward = dnnl::lstm_backward;
  static constexpr bool has_cell = true;

  static Forward::primitive_desc forward(const dnnl::engine& e, dnnl::prop_kind k, const Descs& d) {
    return describe<Forward>(e, k, left_to_right, d.x, d.h_n, d.h_n, d.w_ih, d.w_hh, d.b, d.y,
                             d.h_n, d.h_n);
  }
  static Backward::primitive_desc backward(const dnnl::engine& e, const Descs& d,
                                           const Forward::primitive_desc& forward) {
    return describe_backward<Backward>(e, forward, dnnl::prop_kind::backward, left_to_right, d.x,
                                       d.h_n, d.h_n, d.w_ih, d.w_hh, d.b, d.y, d.h_n, d.h_n, d.x,
                                       d.h_n, d.h_n, d.w_ih, d.w_hh, d.b, d.y, d.h_n, d.h_n);
  }
};

struct Gru {
  using Forward = dnnl::lbr_gru_forward;
  using Backward = dnnl::lbr_gru_backward;
  static constexpr bool has_cell = false;

  static Forward::primitive_desc forward(const dnnl::engine& e, dnnl::prop_kind k, const Descs& d) {
    return describe<Forward>(e, k, left_to_right, d.x, d.h_n, d.w_ih, d.w_hh, d.b, d.y, d.h_n);
  }
  static Backward::primitive_desc backward(const dnnl::engine& e, const Descs& d,
                                           const Forward::primitive_desc& forward) {
    return describe_backward<Backward>(e, forward, dnnl::prop_kind::backward, left_to_right, d.x,
                                       d.h_n, d.w_ih, d.w_hh, d.b, d.y, d.h_n, d.x, d.h_n, d.w_ih,
                                       d.w_hh, d.b, d.y, d.h_n);
  }
};

struct Rnn {
  using Forward = dnnl::vanilla_rnn_forward;
  using Backward = dnnl::vanilla_rnn_backward;
  static constexpr bool has_cell = false;
  static constexpr auto tanh = dnnl::algorithm::eltwise_tanh;

  static Forward::primitive_desc forward(const dnnl::engine& e, dnnl::prop_kind k, const Descs& d) {
    return describe<Forward>(e, k, tanh, left_to_right, d.x, d.h_n, d.w_ih, d.w_hh, d.b, d.y,
                             d.h_n);
  }
  static Backward::primitive_desc backward(const dnnl::engine& e, const Descs& d,
                                           const Forward::primitive_desc& forward) {
    return describe_backward<Backward>(e, forward, dnnl::prop_kind::backward, tanh, left_to_right,
                                       d.x, d.h_n, d.w_ih, d.w_hh, d.b, d.y, d.h_n, d.x, d.h_n,
                                       d.w_ih, d.w_hh, d.b, d.y, d.h_n);
  }
};

// PyTorch's parameters as [gates * H, columns] in the primitive's order of gates, which differs for
// the GRU only: z, r, n instead of r, z, n. The map is its own inverse.
Tensor in_gate_order(const std::string& op, const Tensor& w) {
  if (op != "gru") return w;
  Tensor out = empty_like(w);
  const std::size_t part = std::size_t(w.numel() / 3) * sizeof(float);
  const auto* from = static_cast<const std::byte*>(w.raw_data());
  auto* to = static_cast<std::byte*>(out.mutable_raw_data());
  std::memcpy(to, from + part, part);
  std::memcpy(to + part, from, part);
  std::memcpy(to + 2 * part, from + 2 * part, part);
  return out;
}

// The one bias of a primitive; the GRU's has a fourth part, the n gate's bias behind the product.
Tensor bias_of(const Problem& p, std::int64_t parts) {
  const Tensor b_ih = in_gate_order(p.op, p.input("b_ih")),
               b_hh = in_gate_order(p.op, p.input("b_hh"));
  const std::int64_t summed = (p.op == "gru" ? 2 : parts) * p.H;
  Tensor b = empty({parts * p.H});
  for (std::int64_t i = 0; i < parts * p.H; i++) {
    const float ih = i < 3 * p.H || p.op != "gru" ? b_ih.data<float>()[i] : 0;
    b.mutable_data<float>()[i] = i < summed    ? ih + b_hh.data<float>()[i]
                                 : i < 3 * p.H ? ih
                                               : b_hh.data<float>()[i - p.H];
  }
  return b;
}

template <class Family>
class Runs {
 public:
  explicit Runs(const Problem& p)
      : p_(p),
        gates_(p.op == "lstm"  ? 4
               : p.op == "gru" ? 3
                               : 1),
        bias_parts_(p.op == "gru" ? 4 : gates_),
        kind_(p.is_step() ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference),
        forward_desc_(Family::forward(engine_, kind_, descs())),
        forward_(forward_desc_) {
    w_ih_ = weights("w_ih", p.I);
    w_hh_ = weights("w_hh", p.H);
    arguments_ = {{DNNL_ARG_SRC_LAYER, from(p.input("x"), forward_desc_.src_layer_desc())},
                  {DNNL_ARG_SRC_ITER, zeros_of(forward_desc_.src_iter_desc())},
                  {DNNL_ARG_WEIGHTS_LAYER, reordered(w_ih_, forward_desc_.weights_layer_desc())},
                  {DNNL_ARG_WEIGHTS_ITER, reordered(w_hh_, forward_desc_.weights_iter_desc())},
                  {DNNL_ARG_BIAS, from(bias_of(p, bias_parts_), forward_desc_.bias_desc())},
                  {DNNL_ARG_DST_LAYER, zeros_of(forward_desc_.dst_layer_desc())},
                  {DNNL_ARG_DST_ITER, zeros_of(forward_desc_.dst_iter_desc())}};
    if (Family::has_cell) {
      arguments_[DNNL_ARG_SRC_ITER_C] = zeros_of(descs().h_n);
      arguments_[DNNL_ARG_DST_ITER_C] = zeros_of(descs().h_n);
    }
    if (p.is_step()) prepare_backward();
  }

  void call() {
    forward_.execute(stream_, arguments_);
    if (p_.is_step()) backward_.execute(stream_, backward_arguments_);
    stream_.wait();
  }

  std::vector<Named> results() {
    for (int gradient :
         {DNNL_ARG_DIFF_WEIGHTS_LAYER, DNNL_ARG_DIFF_WEIGHTS_ITER, DNNL_ARG_DIFF_BIAS})
      if (p_.is_step()) clear(backward_arguments_.at(gradient));
    call();
    std::vector<Named> out = {
        {"y", tensor(arguments_.at(DNNL_ARG_DST_LAYER), descs().y, {p_.T, p_.N, p_.H})},
        {"h_n", tensor(arguments_.at(DNNL_ARG_DST_ITER), descs().h_n, {p_.N, p_.H})}};
    if (Family::has_cell)
      out.push_back({"c_n", tensor(arguments_.at(DNNL_ARG_DST_ITER_C), descs().h_n, {p_.N, p_.H})});
    if (p_.is_step()) add_gradients(out);
    return out;
  }

 private:
  // Layouts: the user's own for sequences and states, the primitive's choice for weights.
  Descs descs() const {
    return {desc_of({p_.T, p_.N, p_.I}, Tag::tnc),
            desc_of({1, 1, p_.I, gates_, p_.H}, Tag::any),
            desc_of({1, 1, p_.H, gates_, p_.H}, Tag::any),
            desc_of({1, 1, bias_parts_, p_.H}, Tag::ldgo),
            desc_of({p_.T, p_.N, p_.H}, Tag::tnc),
            desc_of({1, 1, p_.N, p_.H}, Tag::ldnc)};
  }

  void prepare_backward() {
    const auto desc = Family::backward(engine_, descs(), forward_desc_);
    backward_ = typename Family::Backward(desc);
    arguments_[DNNL_ARG_WORKSPACE] = zeros_of(forward_desc_.workspace_desc());
    backward_arguments_ = arguments_;
    for (auto [argument, value] :
         Arguments{{DNNL_ARG_WEIGHTS_LAYER, reordered(w_ih_, desc.weights_layer_desc())},
                   {DNNL_ARG_WEIGHTS_ITER, reordered(w_hh_, desc.weights_iter_desc())},
                   {DNNL_ARG_DIFF_DST_LAYER, from(p_.input("u"), desc.diff_dst_layer_desc())},
                   {DNNL_ARG_DIFF_DST_ITER, zeros_of(desc.diff_dst_iter_desc())},
                   {DNNL_ARG_DIFF_SRC_LAYER, zeros_of(desc.diff_src_layer_desc())},
                   {DNNL_ARG_DIFF_SRC_ITER, zeros_of(desc.diff_src_iter_desc())},
                   {DNNL_ARG_DIFF_WEIGHTS_LAYER, zeros_of(desc.diff_weights_layer_desc())},
                   {DNNL_ARG_DIFF_WEIGHTS_ITER, zeros_of(desc.diff_weights_iter_desc())},
                   {DNNL_ARG_DIFF_BIAS, zeros_of(desc.diff_bias_desc())}})
      backward_arguments_[argument] = value;
    if (Family::has_cell) {
      backward_arguments_[DNNL_ARG_DIFF_SRC_ITER_C] = zeros_of(descs().h_n);
      backward_arguments_[DNNL_ARG_DIFF_DST_ITER_C] = zeros_of(descs().h_n);
    }
  }

  void add_gradients(std::vector<Named>& out) {
    out.push_back({"dx", tensor(backward_arguments_.at(DNNL_ARG_DIFF_SRC_LAYER), descs().x,
                                {p_.T, p_.N, p_.I})});
    out.push_back({"dw_ih", gradient(DNNL_ARG_DIFF_WEIGHTS_LAYER, p_.I)});
    out.push_back({"dw_hh", gradient(DNNL_ARG_DIFF_WEIGHTS_ITER, p_.H)});
    if (p_.op == "gru") return;  // its one bias is none of PyTorch's two
    out.push_back(
        {"db_ih", tensor(backward_arguments_.at(DNNL_ARG_DIFF_BIAS), descs().b, {gates_ * p_.H})});
  }

  Tensor gradient(int argument, std::int64_t columns) {
    const Desc plain = desc_of({1, 1, columns, gates_, p_.H}, Tag::ldgoi);
    return in_gate_order(p_.op,
                         tensor(backward_arguments_.at(argument), plain, {gates_ * p_.H, columns}));
  }

  dnnl::memory weights(const std::string& name, std::int64_t columns) {
    return from(in_gate_order(p_.op, p_.input(name)),
                desc_of({1, 1, columns, gates_, p_.H}, Tag::ldgoi));
  }

  dnnl::memory zeros_of(const Desc& desc) {
    dnnl::memory memory(desc, engine_);
    clear(memory);
    return memory;
  }
  static void clear(const dnnl::memory& memory) {
    std::memset(memory.get_data_handle(), 0, memory.get_desc().get_size());
  }
  dnnl::memory from(const Tensor& x, const Desc& desc) {
    dnnl::memory memory(desc, engine_);
    std::memcpy(memory.get_data_handle(), x.raw_data(), std::size_t(x.numel()) * sizeof(float));
    return memory;
  }
  dnnl::memory reordered(dnnl::memory source, const Desc& desc) {
    dnnl::memory target(desc, engine_);
    dnnl::reorder(source, target).execute(stream_, source, target);
    stream_.wait();
    return target;
  }
  Tensor tensor(const dnnl::memory& source, const Desc& plain, const Shape& shape) {
    const dnnl::memory from = reordered(source, plain);
    Tensor x = empty(shape);
    std::memcpy(x.mutable_raw_data(), from.get_data_handle(),
                std::size_t(x.numel()) * sizeof(float));
    return x;
  }

  Problem p_;
  std::int64_t gates_, bias_parts_;
  dnnl::prop_kind kind_;
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  typename Family::Forward::primitive_desc forward_desc_;
  typename Family::Forward forward_;
  typename Family::Backward backward_;
  dnnl::memory w_ih_, w_hh_;  // in PyTorch's layout
  Arguments arguments_, backward_arguments_;
};

template <class Family>
Job job_of(const Problem& problem) {
  const auto runs = std::make_shared<Runs<Family>>(problem);
  return {[runs] { runs->call(); }, [runs] { return runs->results(); }};
}

Job prepare(const Problem& problem) {
  if (problem.has("lengths")) throw Error("no lengths in oneDNN's primitives");
  if (problem.op == "lstm") return job_of<Lstm>(problem);
  if (problem.op == "gru") return job_of<Gru>(problem);
  if (problem.op == "rnn") return job_of<Rnn>(problem);
  throw Error("no primitive for " + problem.op);
}

std::string title() {
  const dnnl_version_t& v = *dnnl_version();
  return "onednn " + std::to_string(v.major) + "." + std::to_string(v.minor) + "." +
         std::to_string(v.patch);
}

}  // namespace
}  // namespace unroll::compare

int main() { return unroll::compare::serve(unroll::compare::title(), unroll::compare::prepare); }
