// What PyTorch computed for a program of docs/guide.md, and the comparison with it.
//
//   Expected expected("recurrent");       // recurrent.npz in the current folder
//   expected.same("y", y);
//   return expected.status();
#pragma once

#include <unroll/autograd/ops.h>
#include <unroll/io/csv.h>
#include <unroll/io/npz.h>

#include <algorithm>
#include <cstdio>
#include <set>
#include <string>

class Expected {
 public:
  explicit Expected(const std::string& name) : arrays_(unroll::read_npz(name + ".npz")) {}

  /// Within `tolerance` of the largest magnitude that is expected; else says so.
  void same(const std::string& name, const unroll::Tensor& actual, double tolerance = 1e-12) {
    const auto is_it = [&](const unroll::NamedTensor& a) { return a.name == name; };
    const auto at = std::find_if(arrays_.begin(), arrays_.end(), is_it);
    if (at == arrays_.end()) return refuse(name, "nothing is expected");
    compared_.insert(name);
    const unroll::Tensor& wanted = at->tensor;
    if (!(wanted.shape() == actual.shape()))
      return refuse(name, to_string(actual.shape()) + " for " + to_string(wanted.shape()));
    const double error = largest(actual - wanted);
    if (!(error <= tolerance * largest(wanted)))
      refuse(name, "off by " + unroll::csv_number(error / largest(wanted)));
  }
  void same(const std::string& name, double actual) {
    same(name, unroll::scalar(actual, unroll::Dtype::float64));
  }

  /// For main: 0 where all arrays were compared and none was off.
  int status() const {
    for (const unroll::NamedTensor& a : arrays_)
      if (!compared_.count(a.name)) std::printf("%s: not compared\n", a.name.c_str());
    return failed_ || compared_.size() != arrays_.size();
  }

 private:
  static double largest(const unroll::Tensor& x) {
    return unroll::norm(unroll::reshape(x, {-1}), 1.0 / 0.0, 0).item();
  }
  void refuse(const std::string& name, const std::string& what) {
    failed_ = true;
    std::printf("%s: %s\n", name.c_str(), what.c_str());
  }

  std::vector<unroll::NamedTensor> arrays_;
  std::set<std::string> compared_;
  bool failed_ = false;
};
