# The targets of the library and their installation. A component is a room of include/shunt whose headers name another project's;
# it has its own target, its own export set and its own switch. All other rooms are the host library, shunt::shunt.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(SHUNT_COMPONENTS compose json gloo cuda nccl)
set(SHUNT_PACKAGE_DIR ${CMAKE_INSTALL_DATADIR}/cmake/shunt)
list(APPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})

# CMake 3.25 knows no C++20 for CUDA, and cxx_std_20 adds no flag to CUDA sources.
set(SHUNT_CUDA_STANDARD $<$<COMPILE_LANG_AND_ID:CUDA,NVIDIA>:-std=c++20>)

# The headers of one component (the room and its umbrella), or of `host`: all that belong to no component.
function(shunt_headers_of room out)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS
    ${PROJECT_SOURCE_DIR}/include/shunt/*.hpp ${PROJECT_SOURCE_DIR}/include/shunt/*.cuh)
  if(room STREQUAL "host")
    list(JOIN SHUNT_COMPONENTS "|" components)
    list(FILTER headers EXCLUDE REGEX "/include/shunt/(${components})[./]")
  else()
    list(FILTER headers INCLUDE REGEX "/include/shunt/${room}[./]")
  endif()
  set(${out} ${headers} PARENT_SCOPE)
endfunction()

# An INTERFACE library shunt::<name> with its headers, installed with an export file of its own.
function(shunt_library target name export_file headers)
  add_library(${target} INTERFACE)
  add_library(shunt::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  target_sources(${target} INTERFACE
    FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/include FILES ${headers})
  install(TARGETS ${target} EXPORT ${export_file} FILE_SET HEADERS)
  install(EXPORT ${export_file} NAMESPACE shunt:: DESTINATION ${SHUNT_PACKAGE_DIR})
endfunction()

function(shunt_host)
  find_package(Threads REQUIRED)
  shunt_headers_of(host headers)
  shunt_library(shunt shunt shunt-targets "${headers}")
  target_compile_features(shunt INTERFACE cxx_std_20)
  target_link_libraries(shunt INTERFACE Threads::Threads)
endfunction()

# shunt_component(<name> PACKAGE <package> LINK <target> [NEEDS <component>] [COMPILE_OPTIONS <option>...])
# A component is on where it is asked for, has headers in this version and its package is found. Says which in one line.
function(shunt_component name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "PACKAGE;LINK;NEEDS" "COMPILE_OPTIONS")
  string(TOUPPER ${name} NAME)
  option(SHUNT_WITH_${NAME} "Build shunt::${name} where ${arg_PACKAGE} is found" ON)
  shunt_headers_of(${name} headers)

  if(NOT SHUNT_WITH_${NAME})
    set(why_not "SHUNT_WITH_${NAME} is off")
  elseif(NOT headers)
    set(why_not "no headers in this version")
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
  get_property(SHUNT_BUILT GLOBAL PROPERTY shunt_built)
  list(JOIN SHUNT_BUILT "\n" SHUNT_BUILT)
  configure_package_config_file(cmake/shunt-config.cmake.in shunt-config.cmake
    INSTALL_DESTINATION ${SHUNT_PACKAGE_DIR} NO_SET_AND_CHECK_MACRO)
  write_basic_package_version_file(shunt-config-version.cmake COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
  install(FILES
      ${PROJECT_BINARY_DIR}/shunt-config.cmake
      ${PROJECT_BINARY_DIR}/shunt-config-version.cmake
      cmake/FindNCCL.cmake
    DESTINATION ${SHUNT_PACKAGE_DIR})
endfunction()
