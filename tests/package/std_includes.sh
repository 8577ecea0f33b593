#!/usr/bin/env bash
# Every name of namespace std in include/ has its standard header: the file names it, or a header of
# shunt that the file includes does. each_header.cmake cannot tell, for it compiles with all standard
# headers in front.
#   tests/package/std_includes.sh <repository>
# Prints file:line of each offence.
set -uo pipefail
export LC_ALL=C
cd "$1/include" || exit 2

# <headers, any of which will do>: <names without std::>, as regular expressions
table='
algorithm: (adjacent|binary|partition)_[a-z]+|(all|any|none)_of|clamp|copy(_n|_if|_backward)?
algorithm: count(_if)?|equal|fill(_n)?|find(_if|_if_not|_first_of)?|for_each|generate|includes
algorithm: is_(sorted|heap|partitioned)|(lexicographical_compare)|(lower|upper)_bound|equal_range
algorithm: (max|min|minmax)(_element)?|mismatch|nth_element|partition|(make|push|pop|sort)_heap
algorithm: remove(_if)?|replace(_if|_copy)?|reverse|rotate|set_[a-z]+|search|sort|stable_[a-z]+
algorithm: transform|unique|ranges
array: array
atomic: atomic(_ref|_flag)?|memory_order[a-z_]*
bit: bit_(cast|ceil|floor|width)|count[lr]_(zero|one)|has_single_bit|popcount|rot[lr]|endian
charconv: chars_format|from_chars|to_chars
chrono: chrono
cmath: abs|ceil|erfc|exp|fabs|floor|is(finite|inf|nan)|log(2|10)?|ll?r(ound|int)|pow|round|sqrt
compare: (strong|weak|partial)_ordering
concepts: (convertible|derived)_(to|from)|(copy_|move_|default_)?(constructible|initializable)
concepts: copyable|destructible|floating_point|integral|invocable|movable|predicate|regular|same_as
concepts: (un)?signed_integral|semiregular|swappable|totally_ordered|equality_comparable
condition_variable: condition_variable(_any)?
csignal: raise|sig_atomic_t|signal
cstddef: byte|max_align_t|nullptr_t|ptrdiff_t|size_t
cstdint: u?int(8|16|32|64|ptr|max)_t
cstdlib: abort|getenv|strto[a-z]+
cstring: mem(chr|cmp|cpy|move|set)|str(len|cmp|error)
ctime: time_t|tm
deque: deque
exception: current_exception|exception(_ptr)?|make_exception_ptr|rethrow_exception|terminate
filesystem: filesystem
fstream: [io]?fstream
functional: bit_(and|or|xor)|function|greater(_equal)?|invoke|less(_equal)?|plus|reference_wrapper
functional: hash|c?ref|not_fn
initializer_list: initializer_list
ios istream ostream: ios(_base)?|streamsize
iostream: cerr|cout
istream: basic_istream|ws
istream iosfwd: istream
cassert: assert
cerrno: errno
iterator: (back_)?inserter|distance|advance|istreambuf_iterator|next|prev
iterator array span string vector: (c?r?(begin|end)|data|empty|s?size)
iterator: [a-z]+_iterator(_tag)?|iterator_traits
limits: numeric_limits
list: list
map: (multi)?map
memory: (allocate_|make_)?(shared|unique|weak)(_ptr|_for_overwrite)?|addressof|destroy_at
memory: make_unique_for_overwrite|unique_ptr|shared_ptr|weak_ptr|construct_at|allocator
mutex: (recursive_)?mutex|(lock|scoped)_(guard|lock)|unique_lock|call_once|once_flag
new: align_val_t|bad_alloc|launder|nothrow
numeric: accumulate|gcd|iota|lcm|(partial|inclusive|exclusive)_(sum|scan)|reduce
optional: nullopt|optional
ostream: flush|endl
ostream iosfwd: (basic_)?ostream
random: (uniform|normal|discrete)[a-z_]*distribution|random_device|mt19937(_64)?|seed_seq
set: (multi)?set
source_location: source_location
span: as_(writable_)?bytes|span|dynamic_extent
sstream: [io]?stringstream
stdexcept: (domain|invalid|length|logic|out_of|overflow|range|runtime)_(argument|error|range)
stop_token: stop_(token|source|callback)
string: (basic_)?string|stoi|stoll?|to_string
string istream: getline
string vector deque map set list unordered_map: erase_if
string vector deque list: erase
string_view: string_view
system_error: errc|error_(code|category|condition)|(generic|system)_category|make_error_code
system_error: system_error
thread: j?thread|this_thread
tuple: apply|forward_as_tuple|ignore|make_tuple|tie|tuple(_size|_element)?(_v|_t)?
tuple utility array: get
type_traits: [a-z_]+_[tv]|(true|false)_type|integral_constant|is_[a-z_]+|underlying_type
type_traits: (common_type|conditional|enable_if|remove_cvref)
unordered_map: unordered_map
unordered_set: unordered_set
utility: as_const|cmp_[a-z_]+|declval|exchange|forward|in_place|in_range|(make_)?(index|integer)_sequence
utility: index_sequence_for|make_pair|move|pair|piecewise_construct|swap|unreachable|to_underlying
variant: get_if|holds_alternative|monostate|variant|visit
vector: vector
'

find shunt -type f | sort | awk -v table="$table" '
  BEGIN {
    rows = split(table, row, "\n")
    for (i = 1; i <= rows; ++i) {
      if (row[i] == "") continue
      colon = index(row[i], ": ")
      headers[i] = substr(row[i], 1, colon - 1)
      pattern[i] = "^(" substr(row[i], colon + 2) ")$"
    }
  }
  # The headers that give `name`, joined by spaces; "" where no row knows it.
  function givers(name,    i, all) {
    if (!(name in known)) {
      all = ""
      for (i = 1; i <= rows; ++i)
        if (i in pattern && name ~ pattern[i]) all = all " " headers[i]
      known[name] = all
    }
    return known[name]
  }
  function note(file, name, number) {
    if ((file, name) in first) return
    first[file, name] = number
    used[file] = used[file] " " name
  }
  function read(file,    line, text, number) {
    while ((getline line < file) > 0) {
      ++number
      text = line
      if (match(text, /^ *# *include *[<"][^>"]+/)) {
        sub(/^ *# *include *[<"]/, "", text)
        sub(/[>"].*/, "", text)
        included[file] = included[file] " " text
        continue
      }
      sub(/\/\/.*/, "", text)
      if (text ~ /(^|[^a-z_:])assert\(/) note(file, "assert", number)
      if (text ~ /(^|[^a-z_])errno([^a-z_]|$)/) note(file, "errno", number)
      while (match(text, /std::[a-z_0-9]+/)) {
        note(file, substr(text, RSTART + 5, RLENGTH - 5), number)
        text = substr(text, RSTART + RLENGTH)
      }
    }
    close(file)
  }
  # Marks what `file` and the headers of shunt behind it include.
  function reach(file,    part, n, i) {
    n = split(included[file], part, " ")
    for (i = 1; i <= n; ++i) {
      if (part[i] in reached) continue
      reached[part[i]] = 1
      if (part[i] ~ /^shunt\//) reach(part[i])
    }
  }
  { files[++count] = $0; read($0) }
  END {
    for (i = 1; i <= count; ++i) {
      split("", reached)
      reach(files[i])
      names = split(used[files[i]], name, " ")
      for (j = 1; j <= names; ++j) {
        choices = split(givers(name[j]), choice, " ")
        found = 0
        for (k = 1; k <= choices; ++k) if (choice[k] in reached) found = 1
        if (found) continue
        ++offences
        printf "include/%s:%d: %s without %s\n", files[i], first[files[i], name[j]], name[j], \
          choices ? "<" choice[1] ">" : "a row in std_includes.sh"
      }
    }
    printf "%d files, %d names without their header\n", count, offences
    exit offences || !count
  }'
