// Runs the unroll command as a user does: another process, its output and its exit code.
//
//   const Finished done = run_unroll({"info", path});
//   EXPECT_EQ(done.code, 0) << done.err;
#pragma once

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/temporary.h"

namespace unroll::testing {

struct Finished {
  int code = -1;    // exit code, or 128 + the signal that killed it
  std::string out;  // stdout
  std::string err;  // stderr
};

/// A running command. Its output goes to files in a folder of its own.
class Process {
 public:
  Process(const std::string& program, const std::vector<std::string>& arguments) {
    std::vector<char*> argv = {const_cast<char*>(program.c_str())};
    for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
    argv.push_back(nullptr);
    const std::string out = folder_ / "out", err = folder_ / "err";
    pid_ = ::fork();
    if (pid_ != 0) return;
    redirect(out, 1);
    redirect(err, 2);
    ::execv(program.c_str(), argv.data());
    ::_exit(127);
  }
  ~Process() {
    if (!waited_) kill(SIGKILL), wait();
  }

  void kill(int signal) const { ::kill(pid_, signal); }
  std::string out() const { return read_bytes(folder_ / "out"); }

  bool is_running() {
    if (!waited_ && ::waitpid(pid_, &status_, WNOHANG) == pid_) waited_ = true;
    return !waited_;
  }

  Finished wait() {
    if (!waited_) ::waitpid(pid_, &status_, 0);
    waited_ = true;
    const int code = WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
    return {code, out(), read_bytes(folder_ / "err")};
  }

 private:
  static void redirect(const std::string& path, int descriptor) {
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ::dup2(file, descriptor);
    ::close(file);
  }

  TemporaryFolder folder_;
  pid_t pid_ = -1;
  int status_ = 0;
  bool waited_ = false;
};

/// Waits up to 30 s, or as many times 5 ms as are given.
template <class F>
bool eventually(F condition, int times = 6000) {
  for (int i = 0; i < times; i++) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

}  // namespace unroll::testing
