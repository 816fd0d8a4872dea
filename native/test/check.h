// The whole test framework: named cases, checks that say what was expected, a temporary folder.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <string>

#include "failure.h"

namespace check {

/// Cases of this program by name; the first argument of the program picks one, none runs all.
inline std::map<std::string, std::function<void()>>& cases() {
  static std::map<std::string, std::function<void()>> all;
  return all;
}

inline int& failures() {
  static int count = 0;
  return count;
}

struct Case {
  Case(const char* name, std::function<void()> body) { cases()[name] = std::move(body); }
};

inline void fail(const char* file, int line, const std::string& what) {
  failures()++;
  std::fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
}

template <typename A, typename B>
void equal(const char* file, int line, const char* text, const A& actual, const B& expected) {
  if (actual == expected) return;
  std::ostringstream what;
  what << text << ": received " << actual << ", expected " << expected;
  fail(file, line, what.str());
}

/// What `body` throws, as `CODE: message`; empty when it returns.
template <typename Body>
std::string thrown(Body&& body) {
  try {
    body();
  } catch (const twinkle::Failure& failure) {
    return failure.code() + ": " + failure.what();
  }
  return "";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// A folder that disappears at the end of the test.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "twinkle-test-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& path() const { return path_; }
  /// Writes a file below, making its folders.
  void write(const std::string& name, const std::string& text) const {
    const std::filesystem::path file = path_ + name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }

 private:
  std::string path_;
};

}  // namespace check

#define CHECK(condition) \
  if (!(condition)) check::fail(__FILE__, __LINE__, #condition " is false")
#define CHECK_EQ(actual, expected) check::equal(__FILE__, __LINE__, #actual, actual, expected)
#define CHECK_HAS(text, part)                                              \
  if (const std::string checked = (text); !check::contains(checked, part)) \
  check::fail(__FILE__, __LINE__, "\"" + checked + "\" does not contain \"" + (part) + "\"")
#define CASE(name)                                              \
  static void case_##name();                                    \
  static const check::Case register_##name(#name, case_##name); \
  static void case_##name()
