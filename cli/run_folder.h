// The folder of a training run: made, locked, and cleaned of what a killed process left.
//
//   RunFolder folder("run", /*resume=*/false);     // UsageError where a run is in it already
#pragma once

#include <string>

namespace unroll::cli {

/// What a run leaves in its folder.
inline constexpr const char* kRunFiles[] = {"config.json", "checkpoint.safetensors",
                                            "model.safetensors", "metrics.csv",
                                            "encoder.safetensors"};

class RunFolder {
 public:
  /// A new run: makes the folder; throws UsageError, naming the remedy, where it holds a run. To
  /// resume: throws UsageError where it holds none. Throws Error where another process trains in
  /// it, or where the folder cannot be made.
  RunFolder(const std::string& path, bool resume);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::string& path() const noexcept { return path_; }

  /// As the constructor, without making or locking anything: for asking before long work.
  static void check(const std::string& path, bool resume);

 private:
  void lock();
  void remove_leftovers() const;

  std::string path_;
  int descriptor_ = -1;  // of the folder; carries the lock
};

}  // namespace unroll::cli
