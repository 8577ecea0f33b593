# The targets of the library and their installation. A component is a room of include/shunt whose
# headers name another project's; it has its own target, its own export set and its own switch. All
# other rooms are the host library: shunt::shunt, header-only, and shunt::compiled, compiled once.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(SHUNT_COMPONENTS compose json gloo cuda nccl)
set(SHUNT_PACKAGE_DIR ${CMAKE_INSTALL_DATADIR}/cmake/shunt)
list(APPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})

# CMake 3.25 knows no C++20 for CUDA, and cxx_std_20 adds no flag to CUDA sources.
set(SHUNT_CUDA_STANDARD $<$<COMPILE_LANG_AND_ID:CUDA,NVIDIA>:-std=c++20>)

# The headers of one component (the room and its umbrella), or of `host`: all that belong to no
# component, with their implementations.
function(shunt_headers_of room out)
  set(root ${PROJECT_SOURCE_DIR}/include/shunt)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS ${root}/*.hpp ${root}/*.ipp ${root}/*.cuh)
  if(room STREQUAL "host")
    list(JOIN SHUNT_COMPONENTS "|" components)
    list(FILTER headers EXCLUDE REGEX "/include/shunt/(${components})[./]")
  else()
    list(FILTER headers INCLUDE REGEX "/include/shunt/${room}[./]")
  endif()
  set(${out} ${headers} PARENT_SCOPE)
endfunction()

# An export file of its own for a target.
function(shunt_install_target target export_file)
  if(SHUNT_INSTALL)
    install(TARGETS ${target} EXPORT ${export_file} FILE_SET HEADERS)
    install(EXPORT ${export_file} NAMESPACE shunt:: DESTINATION ${SHUNT_PACKAGE_DIR})
  endif()
endfunction()

# An INTERFACE library shunt::<name> with its headers.
function(shunt_library target name export_file headers)
  add_library(${target} INTERFACE)
  add_library(shunt::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  target_sources(${target} INTERFACE
    FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/include FILES ${headers})
  shunt_install_target(${target} ${export_file})
endfunction()

function(shunt_host)
  find_package(Threads REQUIRED)
  shunt_headers_of(host headers)
  shunt_library(shunt shunt shunt-targets "${headers}")
  target_compile_features(shunt INTERFACE cxx_std_20)
  target_link_libraries(shunt INTERFACE Threads::Threads)
endfunction()

# shunt::compiled: the implementations of the host library, a unit a room; of solve a unit a family.
function(shunt_compiled)
  option(SHUNT_BUILD_COMPILED "Build shunt::compiled" ${PROJECT_IS_TOP_LEVEL})
  if(NOT SHUNT_BUILD_COMPILED)
    message(STATUS "shunt: compiled off (SHUNT_BUILD_COMPILED is off)")
    return()
  endif()
  shunt_headers_of(host headers)
  list(FILTER headers INCLUDE REGEX "\\.ipp$")
  foreach(header IN LISTS headers)
    cmake_path(RELATIVE_PATH header BASE_DIRECTORY ${PROJECT_SOURCE_DIR}/include)
    string(REGEX MATCH "^shunt/(solve/[a-z]+/|[a-z]+/)" room ${header})
    string(MAKE_C_IDENTIFIER ${room} room)
    list(APPEND rooms ${room})
    string(APPEND includes_of_${room} "#include \"${header}\"\n")
  endforeach()
  list(REMOVE_DUPLICATES rooms)
  foreach(room IN LISTS rooms)
    set(unit ${PROJECT_BINARY_DIR}/compiled/${room}.cpp)
    file(CONFIGURE OUTPUT ${unit} CONTENT "${includes_of_${room}}")
    list(APPEND units ${unit})
  endforeach()

  add_library(shunt_compiled STATIC ${units})
  add_library(shunt::compiled ALIAS shunt_compiled)
  set_target_properties(shunt_compiled PROPERTIES EXPORT_NAME compiled POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(shunt_compiled PUBLIC shunt)
  target_compile_definitions(shunt_compiled PUBLIC SHUNT_COMPILED)
  set(SHUNT_COMPILED_OPTIONS "" CACHE STRING "More options of the compiler for shunt::compiled")
  target_compile_options(shunt_compiled PRIVATE ${SHUNT_COMPILED_OPTIONS})
  shunt_install_target(shunt_compiled shunt-compiled-targets)
  set_property(GLOBAL APPEND PROPERTY shunt_built "set(_shunt_compiled_package Threads)")
  message(STATUS "shunt: compiled on")
endfunction()

# shunt_component(<name> PACKAGE <package> LINK <target> [NEEDS <component>]
#   [COMPILE_OPTIONS <option>...])
# A component is on where it is asked for and its package is found. Says which in one line. The
# headers of one that is off are installed all the same.
function(shunt_component name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "PACKAGE;LINK;NEEDS" "COMPILE_OPTIONS")
  string(TOUPPER ${name} NAME)
  option(SHUNT_WITH_${NAME} "Build shunt::${name} where ${arg_PACKAGE} is found" ON)
  shunt_headers_of(${name} headers)

  if(NOT SHUNT_WITH_${NAME})
    set(why_not "SHUNT_WITH_${NAME} is off")
  elseif(arg_NEEDS AND NOT TARGET shunt_${arg_NEEDS})
    set(why_not "needs ${arg_NEEDS}")
  else()
    find_package(${arg_PACKAGE} QUIET)
    if(NOT ${arg_PACKAGE}_FOUND)
      set(why_not "${arg_PACKAGE} not found")
    endif()
  endif()
  if(why_not)
    message(STATUS "shunt: ${name} off (${why_not})")
    set_property(GLOBAL APPEND PROPERTY shunt_built "set(_shunt_${name}_off \"${why_not}\")")
    foreach(header IN LISTS headers)
      cmake_path(RELATIVE_PATH header BASE_DIRECTORY ${PROJECT_SOURCE_DIR}/include)
      cmake_path(GET header PARENT_PATH folder)
      if(SHUNT_INSTALL)
        install(FILES include/${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/${folder})
      endif()
    endforeach()
    return()
  endif()
  message(STATUS "shunt: ${name} on (${arg_PACKAGE} ${${arg_PACKAGE}_VERSION})")

  shunt_library(shunt_${name} ${name} shunt-${name}-targets "${headers}")
  list(TRANSFORM arg_NEEDS PREPEND shunt_ OUTPUT_VARIABLE needed)
  target_link_libraries(shunt_${name} INTERFACE shunt ${needed} ${arg_LINK})
  target_compile_options(shunt_${name} INTERFACE ${arg_COMPILE_OPTIONS})
  set_property(GLOBAL APPEND PROPERTY shunt_built "set(_shunt_${name}_package ${arg_PACKAGE})")
  if(arg_NEEDS)
    set_property(GLOBAL APPEND PROPERTY shunt_built "set(_shunt_${name}_needs ${arg_NEEDS})")
  endif()
endfunction()

function(shunt_install_package)
  if(NOT SHUNT_INSTALL)
    return()
  endif()
  get_property(SHUNT_BUILT GLOBAL PROPERTY shunt_built)
  list(JOIN SHUNT_BUILT "\n" SHUNT_BUILT)
  configure_package_config_file(cmake/shunt-config.cmake.in shunt-config.cmake
    INSTALL_DESTINATION ${SHUNT_PACKAGE_DIR} NO_SET_AND_CHECK_MACRO)
  set(independent ARCH_INDEPENDENT)
  if(TARGET shunt_compiled)
    set(independent "")
  endif()
  write_basic_package_version_file(shunt-config-version.cmake
    COMPATIBILITY SameMinorVersion ${independent})
  install(FILES
      ${PROJECT_BINARY_DIR}/shunt-config.cmake
      ${PROJECT_BINARY_DIR}/shunt-config-version.cmake
      cmake/FindNCCL.cmake
    DESTINATION ${SHUNT_PACKAGE_DIR})
endfunction()
