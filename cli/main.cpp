// The unroll command.
#include <string_view>

#include "cli/command.h"
#include "cli/signals.h"

int main(int argc, char** argv) {
  using namespace unroll::cli;
  const bool times = argc > 1 && argv[1] == std::string_view("bench");
  if (!times) sleep_while_waiting(argv);  // what is timed is the library as other programs have it
  guard_streams();
  return run_command(argc, argv, [](Command& unroll) {
    add_train(unroll);
    add_reconstruct(unroll);
    add_compare(unroll);
    add_info(unroll);
    add_capacity(unroll);
    add_study(unroll);
    add_identify(unroll);
    add_collide(unroll);
    add_decode_tokens(unroll);
    add_invert(unroll);
    add_bench(unroll);
    unroll.footer(
        "Examples:\n"
        "  unroll train weather.csv --columns temp_max,temp_min --model decoder --out run\n"
        "  unroll reconstruct run weather.csv --out back.csv --plot back.svg\n"
        "  unroll compare weather.csv --columns temp_max,temp_min --out comparison\n"
        "  unroll identify --weights lstm.safetensors --steps 20 --observe final\n"
        "  unroll invert --weights lstm.safetensors --outputs y.npy --out x.npy\n"
        "  unroll bench --op lstm --size 8,100,64,128 --threads 2\n\n"
        "Exit codes: 0 success, 1 failed work, 2 bad usage.");
  });
}
