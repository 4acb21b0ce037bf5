#include "cli/signals.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include <fcntl.h>
#include <unistd.h>

namespace unroll::cli {
namespace {

std::atomic<bool> stop{false};
bool no_stdout = false;
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler must not lock");

void on_signal(int) {
  stop.store(true, std::memory_order_relaxed);
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

}  // namespace

const std::atomic<bool>* stop_on_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM}) ::sigaction(signal, &action, nullptr);
  struct sigaction old {};
  const bool nohup = ::sigaction(SIGHUP, nullptr, &old) == 0 && old.sa_handler == SIG_IGN;
  if (!nohup) ::sigaction(SIGHUP, &action, nullptr);
  return &stop;
}

void guard_streams() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on the size of files is an error of that file
  for (int descriptor = 0; descriptor <= 2; descriptor++)
    if (::fcntl(descriptor, F_GETFD) < 0 && errno == EBADF) {
      no_stdout = no_stdout || descriptor == 1;
      ::open("/dev/null", O_RDWR);
    }
}

bool stdout_was_closed() noexcept { return no_stdout; }

void sleep_while_waiting(char** argv) {
  constexpr const char* kPolicy = "OMP_WAIT_POLICY";
  if (std::getenv(kPolicy) || std::getenv("GOMP_SPINCOUNT")) return;
  if (::setenv(kPolicy, "passive", 0) == 0) ::execv("/proc/self/exe", argv);
}

}  // namespace unroll::cli
