// unroll study: the tables of the laboratory, one file each.
#include "cli/study.h"

#include "cli/command.h"

namespace unroll::cli {

void add_study(Command& unroll) {
  Command study = unroll.subcommand("study", "the tables of the laboratory");
  study.footer(
      "Examples:\n"
      "  unroll study t1 --seeds 3 --json t1.json\n"
      "  unroll study t2 --json t2.json");
  add_study_t1(study);
  add_study_t2(study);
}

}  // namespace unroll::cli
