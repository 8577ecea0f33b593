# Which lines of the readers a corpus reaches. Fails under 90 % of all of them.
# cmake -D COMPILER=<g++> -D TREE=<repository> -D CORPUS=<folder> -D SCRATCH=<folder>
#   -P coverage.cmake
# The seeds count too.
cmake_minimum_required(VERSION 3.25)
file(REMOVE_RECURSE ${SCRATCH})
file(MAKE_DIRECTORY ${SCRATCH})
file(WRITE ${SCRATCH}/replay.cpp [[
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size);

int main(int, char** folders) {
  for (char** folder = folders + 1; *folder != nullptr; ++folder)
    for (auto const& file : std::filesystem::directory_iterator(*folder)) {
      std::ifstream in(file.path(), std::ios::binary);
      std::string const bytes(std::istreambuf_iterator<char>(in), {});
      LLVMFuzzerTestOneInput(reinterpret_cast<std::uint8_t const*>(bytes.data()), bytes.size());
    }
}
]])
function(run)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY ${SCRATCH} RESULT_VARIABLE status
    OUTPUT_VARIABLE printed ERROR_VARIABLE printed)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${ARGN}: ${status}\n${printed}")
  endif()
  set(printed "${printed}" PARENT_SCOPE)
endfunction()
run(${COMPILER} -std=c++20 -O0 --coverage -I${TREE}/include -I${TREE}/tests -c
  ${TREE}/tests/fuzz/readers.cpp -o readers.o)
run(${COMPILER} -std=c++20 --coverage replay.cpp readers.o -o replay)
run(./replay ${CORPUS} ${TREE}/tests/fuzz/seeds/readers)
run(gcov -n readers.o)

# "File '<path>'" and "Lines executed:<share>% of <lines>" take turns.
string(REGEX MATCHALL "File '[^']*/include/shunt/[^\n]*\nLines executed:[^\n]*" files "${printed}")
set(all 0)
set(reached 0)
foreach(file IN LISTS files)
  string(REGEX MATCH "include/shunt/([^']*)'.Lines executed:([0-9]+)\\.([0-9]+)% of ([0-9]+)" _
    "${file}")
  set(name ${CMAKE_MATCH_1})
  set(share ${CMAKE_MATCH_2}${CMAKE_MATCH_3}) # in hundredths of a percent
  set(lines ${CMAKE_MATCH_4})
  if(NOT name MATCHES
      "^json/|^io/(csv|csv_fields|layer_csv|read_pytorch_csv|pytorch_action)\\.|^core/text_in")
    continue()
  endif()
  math(EXPR hundredth "${share} / 100")
  message("${name}: ${hundredth} % of ${lines} lines")
  math(EXPR all "${all} + ${lines}")
  math(EXPR reached "${reached} + (${share} * ${lines} + 5000) / 10000")
endforeach()
if(all EQUAL 0)
  message(FATAL_ERROR "gcov names no reader:\n${printed}")
endif()
math(EXPR share "100 * ${reached} / ${all}")
message("readers: ${reached} of ${all} lines, ${share} %")
if(share LESS 90)
  message(FATAL_ERROR "under 90 %")
endif()
