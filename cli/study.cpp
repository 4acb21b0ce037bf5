// unroll study: the tables of the laboratory, one file each.
#include "cli/study.h"

#include "cli/command.h"

namespace unroll::cli {

void add_study(Command& unroll) {
  Command study = unroll.subcommand("study", "the tables of the laboratory");
  study.footer(
      "Examples:\n"
      "  unroll study claims --json claims.json\n"
      "  unroll study t1 --seeds 3 --json t1.json");
  add_study_claims(study);
  add_study_t1(study);
  add_study_t2(study);
  add_study_t3(study);
  add_study_t4(study);
  add_study_t5(study);
}

}  // namespace unroll::cli
