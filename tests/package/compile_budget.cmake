# Prints what the umbrellas cost to compile, beside what we want them to cost; fails only where one doesn't compile.
# cmake -D COMPILER=<c++> -D TREE=<repository> -P compile_budget.cmake
foreach(budget IN ITEMS plan=0.15 solve=0.60 shunt=1.00)
  string(REPLACE "=" ";" budget ${budget})
  list(GET budget 0 umbrella)
  list(GET budget 1 wanted)
  string(TIMESTAMP start "%s%f")
  execute_process(COMMAND_ERROR_IS_FATAL ANY
    COMMAND ${COMPILER} -std=c++20 -fsyntax-only -I ${TREE}/include -include shunt/${umbrella}.hpp -x c++ /dev/null)
  string(TIMESTAMP end "%s%f")
  math(EXPR hundredths "(${end} - ${start}) / 10000")
  math(EXPR seconds "${hundredths} / 100")
  math(EXPR hundredths "${hundredths} % 100 + 100")
  string(SUBSTRING ${hundredths} 1 2 hundredths)
  message("shunt/${umbrella}.hpp  ${seconds}.${hundredths} s  (budget ${wanted} s)")
endforeach()
