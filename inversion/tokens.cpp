#include "inversion/tokens.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "autograd/ops.h"
#include "autograd/tape.h"
#include "core/view.h"
#include "inversion/rounding.h"

namespace unroll {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kRoundings = 64;  // of what a step and the state before it went through

void require_finite(const char* op, const char* what, const Tensor& x) {
  const double* values = x.data<double>();
  for (std::int64_t i = 0; i < x.numel(); i++)
    if (!std::isfinite(values[i])) fail(op, std::string(what) + " holds NaN or infinity");
}

}  // namespace

Tensor token_embedding(const char* op, const Encoder& encoder, const Tensor& embedding) {
  const std::int64_t I = encoder.sizes().I;
  if (!embedding || embedding.rank() != 2 || embedding.shape()[0] < 1 ||
      embedding.shape()[1] != I || !(is_real(embedding.dtype()) || is_half(embedding.dtype())))
    fail(op, "the embedding is " + (embedding ? to_string(embedding.shape()) : "undefined") +
                 " but " + encoder.describe() + " reads [V," + std::to_string(I) + "]");
  const Tensor wide = cast_copy(embedding, Dtype::float64);
  require_finite(op, "the embedding", wide);
  return wide;
}

namespace {

// A sequence of tokens that fits so far, as the last of a chain.
struct Hypothesis {
  std::int64_t sequence;     // n
  std::int64_t parent = -1;  // in the trace of the step before
  std::int64_t token = -1;
  double squares = 0;         // of all differences so far
  double distance = 0;        // largest difference so far
  double margin = kInfinity;  // of the second best token so far
};
using Hypotheses = std::vector<Hypothesis>;

// A token of a hypothesis, tried.
struct Trial {
  std::int64_t row, token;  // row: of the hypotheses
  double squares, distance;
};

using TrialIterator = std::vector<Trial>::const_iterator;

std::pair<double, double> two_smallest(TrialIterator first, TrialIterator last) {
  double best = kInfinity, second = kInfinity;
  for (; first != last; ++first) {
    second = std::min(second, std::max(best, first->distance));
    best = std::min(best, first->distance);
  }
  return {best, second};
}

class Decoder {
 public:
  Decoder(const Encoder& encoder, const Tensor& embedding, const Tensor& outputs,
          const DecodeOptions& options)
      : encoder_(encoder),
        embedding_(token_embedding("decode_tokens", encoder, embedding)),
        options_(options),
        V_(embedding_.shape()[0]),
        P_(encoder.sizes().state_width()) {
    const EncoderSizes& s = encoder.sizes();
    if (s.bidirectional && s.layers > 1)
      fail("decode_tokens", "the steps of " + encoder.describe() +
                                " have no order: every one needs those before and after it");
    if (!outputs || outputs.rank() != 3 || outputs.shape()[2] != s.output_width() ||
        outputs.shape()[0] < 1 || !(is_real(outputs.dtype()) || is_half(outputs.dtype())))
      fail("decode_tokens",
           "the outputs are " + (outputs ? to_string(outputs.shape()) : "undefined") + " but " +
               encoder.describe() + " gives [T,N," + std::to_string(s.output_width()) + "]");
    y_ = cast_copy(view::slice(outputs, 2, 0, P_), Dtype::float64);  // the forward half
    require_finite("decode_tokens", "the outputs", y_);
    tolerance_ = options.tolerance;
    if (tolerance_ <= 0) {
      const double scale = y_.numel() ? amax(abs(y_), {0, 1, 2}).item() : 0;
      tolerance_ = kRoundings * unit_roundoff(outputs.dtype()) * std::max(1.0, scale);
    }
  }

  Decoded run() {
    const std::int64_t T = y_.shape()[0], N = y_.shape()[1];
    Hypotheses now;
    for (std::int64_t n = 0; n < N; n++) now.push_back({.sequence = n});
    start(N);
    for (std::int64_t t = 0; t < T; t++) {
      const std::vector<Trial> trials = try_all(now, t);
      now = survivors(now, trials);
      go_on(now, t);
      trace_.push_back(now);
    }
    return result(T, N);
  }

 private:
  void start(std::int64_t N) {
    const EncoderSizes& s = encoder_.sizes();
    const std::int64_t runs = s.layers * s.directions();
    const auto spread = [&](const Tensor& given, std::int64_t width, const char* what) {
      if (!given) return zeros({runs, N, width}, Dtype::float64);
      const Shape& shape = given.shape();
      if (given.rank() != 3 || shape[0] != runs || shape[2] != width ||
          (shape[1] != 1 && shape[1] != N))
        fail("decode_tokens", std::string(what) + " is " + to_string(shape) + " but must be [" +
                                  std::to_string(runs) + "," + std::to_string(N) + "," +
                                  std::to_string(width) + "]");
      return contiguous_copy(view::expand(cast_copy(given, Dtype::float64), {runs, N, width}));
    };
    state_.h = spread(options_.initial.h, s.state_width(), "h_0");
    if (s.has_cell_state()) state_.c = spread(options_.initial.c, s.H, "c_0");
  }

  // Of the hypotheses' rows first..last, each V times; x to match.
  EncoderState repeated(std::int64_t first, std::int64_t last) const {
    std::vector<std::int64_t> rows;
    for (std::int64_t row = first; row < last; row++) rows.insert(rows.end(), V_, row);
    const Tensor index = from_values(rows, {static_cast<std::int64_t>(rows.size())});
    return {index_select(state_.h, 1, index),
            state_.c ? index_select(state_.c, 1, index) : Tensor()};
  }

  std::vector<Trial> try_all(const Hypotheses& now, std::int64_t t) const {
    const std::int64_t count = static_cast<std::int64_t>(now.size());
    const std::int64_t at_once = std::max<std::int64_t>(1, options_.batch / V_);
    std::vector<Trial> trials;
    for (std::int64_t first = 0; first < count; first += at_once) {
      const std::int64_t rows = std::min(at_once, count - first);
      const Tensor x = unsqueeze(repeat(embedding_, {rows, 1}), 0);
      const Tensor y = contiguous_copy(encoder_(x, repeated(first, first + rows)).y);
      const std::int64_t width = y.shape()[2];
      for (std::int64_t r = 0; r < rows; r++) {
        const Hypothesis& from = now[static_cast<std::size_t>(first + r)];
        const double* seen = y_.data<double>() + (t * y_.shape()[1] + from.sequence) * P_;
        for (std::int64_t v = 0; v < V_; v++)
          trials.push_back(compared(y.data<double>() + (r * V_ + v) * width, seen, first + r, v));
      }
    }
    return trials;
  }

  Trial compared(const double* y, const double* seen, std::int64_t row, std::int64_t token) const {
    Trial trial{row, token, 0, 0};
    for (std::int64_t p = 0; p < P_; p++) {
      const double d = std::abs(y[p] - seen[p]);
      trial.squares += d * d;
      trial.distance = std::max(trial.distance, d);
    }
    return trial;
  }

  // Of each sequence the trials that fit, or else the best one; at most `beam`.
  Hypotheses survivors(const Hypotheses& now, const std::vector<Trial>& trials) const {
    Hypotheses next;
    for (std::size_t begin = 0; begin < now.size();) {
      std::size_t end = begin;
      while (end < now.size() && now[end].sequence == now[begin].sequence) end++;
      add_survivors(now, trials, begin, end, next);
      begin = end;
    }
    return next;
  }

  void add_survivors(const Hypotheses& now, const std::vector<Trial>& trials, std::size_t begin,
                     std::size_t end, Hypotheses& next) const {
    const std::size_t V = static_cast<std::size_t>(V_);
    Hypotheses found;
    for (std::size_t row = begin; row < end; row++) {
      const auto first = trials.begin() + static_cast<std::ptrdiff_t>(row * V);
      const auto [best, second] = two_smallest(first, first + static_cast<std::ptrdiff_t>(V));
      for (std::size_t v = 0; v < V; v++) {
        const Trial& trial = first[static_cast<std::ptrdiff_t>(v)];
        if (trial.distance > tolerance_ && trial.distance > best) continue;
        const Hypothesis& from = now[row];
        found.push_back({from.sequence, trial.row, trial.token, from.squares + trial.squares,
                         std::max(from.distance, trial.distance), std::min(from.margin, second)});
      }
    }
    // One that fits comes before one that does not, however good the latter's sum.
    std::sort(found.begin(), found.end(), [&](const Hypothesis& a, const Hypothesis& b) {
      const auto key = [&](const Hypothesis& h) {
        return std::make_tuple(h.distance > tolerance_, h.squares, h.parent, h.token);
      };
      return key(a) < key(b);
    });
    const bool fits = found[0].distance <= tolerance_;
    for (std::size_t i = 0; i < found.size() && i < static_cast<std::size_t>(options_.beam); i++)
      if (!fits || found[i].distance <= tolerance_) next.push_back(found[i]);
  }

  // The states after the tokens chosen; the last layer's h as it was seen.
  void go_on(const Hypotheses& next, std::int64_t t) {
    const std::int64_t count = static_cast<std::int64_t>(next.size());
    std::vector<std::int64_t> rows, tokens, sequences;
    for (const Hypothesis& each : next) {
      rows.push_back(each.parent);
      tokens.push_back(each.token);
      sequences.push_back(each.sequence);
    }
    const auto index = [&](const std::vector<std::int64_t>& of) {
      return from_values(of, {count});
    };
    const Tensor x = unsqueeze(index_select(embedding_, 0, index(tokens)), 0);
    const EncoderState from = {index_select(state_.h, 1, index(rows)),
                               state_.c ? index_select(state_.c, 1, index(rows)) : Tensor()};
    state_ = encoder_(x, from).last;
    const EncoderSizes& s = encoder_.sizes();
    const std::int64_t top = (s.layers - 1) * s.directions();
    Tensor h = contiguous_copy(state_.h);
    Tensor of_top = view::slice(h, 0, top, top + 1);
    copy_into(of_top, unsqueeze(index_select(select(y_, 0, t), 0, index(sequences)), 0));
    state_.h = h;
  }

  Decoded result(std::int64_t T, std::int64_t N) const {
    Decoded out{.tokens = empty({T, N}, Dtype::int64), .tolerance = tolerance_};
    const Hypotheses& last = trace_.back();
    std::int64_t* tokens = out.tokens.mutable_data<std::int64_t>();
    for (std::size_t i = 0; i < last.size();) {
      const std::int64_t n = last[i].sequence;
      std::size_t end = i, fit = 0;
      for (; end < last.size() && last[end].sequence == n; end++)
        fit += last[end].distance <= tolerance_;
      out.distance.push_back(last[i].distance);
      out.margin.push_back(last[i].margin);
      out.alternatives.push_back(fit ? static_cast<std::int64_t>(fit) - 1 : 0);
      std::int64_t row = static_cast<std::int64_t>(i);
      for (std::int64_t t = T - 1; t >= 0; t--) {
        const Hypothesis& at = trace_[static_cast<std::size_t>(t)][static_cast<std::size_t>(row)];
        tokens[t * N + n] = at.token;
        row = at.parent;
      }
      i = end;
    }
    return out;
  }

  Encoder encoder_;
  Tensor embedding_, y_;
  const DecodeOptions& options_;
  std::int64_t V_, P_;
  double tolerance_ = 0;
  EncoderState state_;
  std::vector<Hypotheses> trace_;
};

}  // namespace

bool Decoded::is_exact() const noexcept {
  for (std::size_t n = 0; n < distance.size(); n++)
    if (distance[n] > tolerance || alternatives[n] > 0) return false;
  return true;
}

Decoded decode_tokens(const Encoder& encoder, const Tensor& embedding, const Tensor& outputs,
                      const DecodeOptions& options) {
  const NoTape none;
  if (options.beam < 1 || options.batch < 1)
    fail("decode_tokens", "beam and batch must be at least 1");
  return Decoder(encoder, embedding, outputs, options).run();
}

}  // namespace unroll
