# shunt.warnings: linked by our own tests, examples and benchmarks, never by a consumer.
add_library(shunt.warnings INTERFACE)
target_compile_options(shunt.warnings INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wconversion -Wshadow>
  # "a" + std::string warns inside libstdc++ 12 (https://gcc.gnu.org/PR105651)
  $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-restrict>)
if(SHUNT_WARNINGS_AS_ERRORS)
  target_compile_options(shunt.warnings INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-Werror>
    $<$<COMPILE_LANG_AND_ID:CUDA,NVIDIA>:-Werror=all-warnings>)
endif()
