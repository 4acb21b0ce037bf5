// How an op puts itself on the log: what the authors of differentiable ops need.
//
//   struct Scale {                                     // the rule of y = c x
//     static constexpr const char* name = "scale";
//     double c;
//     auto saved() const { return std::tie(); }        // tensors whose change in place is an error
//     void pull(Pullback& s) { s.add(0, mul(s.cotangent(), c)); }
//     void push(Pushforward& s) { s.set(0, mul(s.tangent(0), c)); }
//   };
//   Tensor y = ...;                                    // check, allocate, one kernel call; then:
//   if (is_recording()) record(Scale{c}, {&x}, {&y});
//
// Rules are written with ops, so a sweep that is itself recorded gives higher derivatives. A
// leading axis of K directions passes through: axes are counted from the right, and ops whose
// operands differ in rank are preceded by recorded views that equalise them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <new>
#include <span>
#include <tuple>
#include <utility>

#include "autograd/tape.h"
#include "core/memory.h"

namespace UNROLL_API unroll {

namespace detail {

/// One entry of a sweep's table: what is known about one tensor of the log.
struct SweepCell {
  Tensor value;             // accumulated cotangent, or tangent; undefined = zero
  std::uint32_t stamp = 0;  // the sweep that the rest is about
  struct Marks {
    bool active = false;    // depends on an x of this sweep
    bool wanted = false;    // is an x
    bool seen = false;      // an x that occurs in a visible record
    bool made = false;      // an output of a visible record
    bool in_place = false;  // value is a gradient buffer: add into it
    bool lent = false;      // a target handed out is `value` and not yet added
  } is;
};

struct SweepTable;
struct Record;

}  // namespace detail

/// What a rule's pull sees.
class Pullback {
 public:
  /// Cotangent of an output; undefined where it is zero (never for all outputs).
  const Tensor& cotangent(int output = 0) const;
  /// True where the cotangent of this input is needed.
  bool wants(int input) const;
  /// Adds to the cotangent of an input. Adding what target() returned is how a kernel's
  /// accumulation in place is finished.
  void add(int input, Tensor d);

  /// Where to put a cotangent.
  struct Target {
    Tensor tensor;  // contiguous
    double beta;    // 0: uninitialised, write; 1: add
  };
  /// Where a kernel may put the cotangent of an input: the sum so far where that is allowed, else
  /// a fresh tensor. Hand the tensor to add() afterwards.
  Target target(int input, const Shape& shape, Dtype dtype);

 private:
  friend class Tape;
  Pullback(detail::SweepTable& table, const detail::Record& record)
      : table_(table), record_(record) {}
  Device device_of_cotangents() const;
  detail::SweepTable& table_;
  const detail::Record& record_;
};

/// What a rule's push sees.
class Pushforward {
 public:
  /// Tangent of an input; undefined where it is zero (never for all inputs).
  const Tensor& tangent(int input) const;
  /// Sets the tangent of an output; one that is never set is zero.
  void set(int output, Tensor d);

 private:
  friend class Tape;
  Pushforward(detail::SweepTable& table, const detail::Record& record)
      : table_(table), record_(record) {}
  detail::SweepTable& table_;
  const detail::Record& record_;
};

namespace detail {

/// A rule type's functions, behind one pointer in the record.
struct RuleTable {
  const char* name;
  void (*pull)(void* rule, Pullback&);
  void (*push)(void* rule, Pushforward&);
  std::uint64_t (*versions)(void* rule);
  void (*destroy)(void* rule);
};

template <class Rule>
constexpr RuleTable rule_table{
    Rule::name, [](void* rule, Pullback& s) { static_cast<Rule*>(rule)->pull(s); },
    [](void* rule, Pushforward& s) { static_cast<Rule*>(rule)->push(s); },
    [](void* rule) {
      // Versions only grow, so their sum changes whenever one of them does.
      const auto version = [](const Tensor& t) { return t ? t.version() : 0; };
      return std::apply([&](const auto&... t) { return (std::uint64_t{0} + ... + version(t)); },
                        static_cast<const Rule*>(rule)->saved());
    },
    [](void* rule) {
      static_cast<Rule*>(rule)->~Rule();
      memory::deallocate(rule, sizeof(Rule));
    }};

/// Takes over `rule` (allocated with memory::allocate), or destroys it where nothing records.
void append_record(const RuleTable& table, void* rule, std::span<const Tensor* const> inputs,
                   std::span<Tensor* const> outputs);

}  // namespace detail

/// The last step of an op. An undefined or null input is a constant. Outputs must be fresh tensors.
template <class Rule>
void record(Rule&& rule, std::span<const Tensor* const> inputs, std::span<Tensor* const> outputs) {
  using R = std::remove_cvref_t<Rule>;
  void* state = new (memory::allocate(sizeof(R))) R(std::forward<Rule>(rule));
  detail::append_record(detail::rule_table<R>, state, inputs, outputs);
}

/// The same from lists.
template <class Rule>
void record(Rule&& rule, std::initializer_list<const Tensor*> inputs,
            std::initializer_list<Tensor*> outputs) {
  record(std::forward<Rule>(rule), std::span(inputs.begin(), inputs.size()),
         std::span(outputs.begin(), outputs.size()));
}

namespace detail {

/// While it lives, ops are not recorded for the tapes live at its making; it only collects the
/// tensors that enter from outside: the free variables of a segment to be recomputed.
class Capture {
 public:
  Capture();
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  /// The free variables, in order of first use.
  Tensors take();
  /// True for the outputs of ops that were recorded inside.
  bool made(const Tensor& x) const;

 private:
  friend void append_record(const RuleTable&, void*, std::span<const Tensor* const>,
                            std::span<Tensor* const>);
  void collect(const Tensor& input);

  Capture* outer_;
  std::uint32_t mask_;
  std::int32_t base_;
  Tensors free_;
};

}  // namespace detail
}  // namespace unroll
