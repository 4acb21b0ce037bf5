#include "bench/compare/worker.h"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <sstream>

#include "core/error.h"
#include "io/npy.h"

namespace unroll::compare {
namespace {

std::string path_of(const std::string& folder, const std::string& name) {
  return folder + "/" + name + ".npy";
}

Problem read_problem(std::istream& words) {
  Problem p;
  words >> p.op >> p.pass >> p.N >> p.T >> p.I >> p.H >> std::ws;
  if (!std::getline(words, p.folder)) throw Error("prepare: OP PASS N T I H FOLDER is expected");
  return p;
}

void spoil(Tensor& x) {
  float& last = x.mutable_data<float>()[x.numel() - 1];
  last = last * 1.01f + 0.01f;
}

void write(const std::vector<Named>& results, const std::string& folder) {
  for (auto [name, value] : results) {
    value = contiguous_copy(value);
    if (std::getenv("UNROLL_COMPARE_SPOIL")) spoil(value);
    write_npy(path_of(folder, name), value);
  }
}

double seconds_of(const std::function<void()>& call, long count) {
  const auto start = std::chrono::steady_clock::now();
  for (long i = 0; i < count; i++) call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

Tensor Problem::input(const std::string& name) const { return read_npy(path_of(folder, name)); }

bool Problem::has(const std::string& name) const {
  return std::filesystem::exists(path_of(folder, name));
}

int serve(const std::string& title, const std::function<Job(const Problem&)>& prepare,
          const std::function<double()>& peak) {
  std::signal(SIGINT, SIG_IGN);  // the driver ends its workers
  Job job;
  const auto answer = [&](const std::string& line) -> std::string {
    std::istringstream words(line);
    std::string verb, folder;
    long count = 0;
    words >> verb;
    if (verb == "prepare") {
      job = {};  // its memory first
      job = prepare(read_problem(words));
      return "ok";
    }
    if (verb == "peak" && peak) return std::to_string(peak());
    if (!job.call) throw Error(verb + ": nothing is prepared");
    if (verb == "write" && std::getline(words >> std::ws, folder)) {
      write(job.results(), folder);
      return "ok";
    }
    if (verb == "run" && words >> count) return std::to_string(seconds_of(job.call, count));
    throw Error("unknown command: " + line);
  };

  std::cout << "ready " << title << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    try {
      std::cout << answer(line) << std::endl;
    } catch (const std::exception& e) {
      std::cout << "error " << e.what() << std::endl;
    }
  }
  return 0;
}

}  // namespace unroll::compare
