# The code in the documents is the code that is compiled:
# cmake -D SOURCE=<repository> -P snippets.cmake
# In a source, what stands between `// <document> {` and `// }`, in Python with `#`, must stand in
# that document letter by letter; the README holds the whole of examples/quick_start.
cmake_minimum_required(VERSION 3.25)

function(expect_in document code origin)
  file(READ ${SOURCE}/${document} text)
  string(FIND "${text}" "${code}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "${document} does not show ${origin} as it is")
  endif()
  message("${document} shows ${origin}")
endfunction()

file(READ ${SOURCE}/examples/quick_start/main.cpp code)
expect_in(README.md "${code}" examples/quick_start/main.cpp)

foreach(origin IN ITEMS tests/docs/placing_experts.cpp tests/docs/writing_a_solver.cpp
  tests/docs/writing_an_executor.cpp tests/docs/placers.cpp
  tests/compose/composing_schedules.cpp examples/train_your_own/main.cpp
  examples/python/tour.py)
  file(READ ${SOURCE}/${origin} source)
  if(NOT source MATCHES "\n(//|#) (docs/[a-z-]+\\.md) {\n(.*)\n(//|#) }\n")
    message(FATAL_ERROR "${origin} marks no code for a document")
  endif()
  expect_in(${CMAKE_MATCH_2} "${CMAKE_MATCH_3}" ${origin})
endforeach()
