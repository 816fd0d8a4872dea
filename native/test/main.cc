// Runs the case that the first argument names, or every case.
#include "check.h"

int main(int count, char** arguments) {
  int run = 0;
  for (const auto& [name, body] : check::cases()) {
    if (count > 1 && name != arguments[1]) continue;
    run++;
    try {
      body();
    } catch (const std::exception& error) {
      check::fail(name.c_str(), 0, std::string("threw ") + error.what());
    }
  }
  if (run == 0) std::fprintf(stderr, "no case is named %s\n", count > 1 ? arguments[1] : "");
  return run > 0 && check::failures() == 0 ? 0 : 1;
}
