#!/usr/bin/env bash
# Length of lines, headers and openings, and words that comments of the library do without.
#   tests/package/text.sh <repository>
# Prints file:line of each offence. The limits stand in limits.cmake.
set -uo pipefail
export LC_ALL=C.UTF-8
here=$(cd "$(dirname "$0")" && pwd)
cd "$1" || exit 2

limit() { sed -n "s/^set(limit_$1 \([0-9.]*\)).*/\1/p" "$here/limits.cmake"; }
status=0
# offences <limit> <what>: its input has one a line
offences() {
  local found count
  found=$(cat)
  count=$(grep -c . <<<"$found")
  [[ $count -eq 0 ]] || echo "$found"
  echo "$2: $count, allowed $(limit "$1")"
  [[ $count -le $(limit "$1") ]] || status=1
}

files=$(mktemp)
trap 'rm -f "$files"' EXIT
find include tests examples benchmarks -type f \
  \( -name '*.hpp' -o -name '*.ipp' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \
  -o -name '*.cmake' -o -name CMakeLists.txt \) | sort >"$files"

columns=$(limit columns)
offences long_lines "lines over $columns columns" \
  < <(xargs grep -nE "^.{$((columns + 1)),}" <"$files" | cut -c1-120)

# long <lines> <pattern>: files of include/ with more lines
long() {
  find include -type f -regex "$2" | sort | while read -r file; do
    lines=$(wc -l <"$file")
    [[ $lines -le $1 ]] || echo "$file:$lines: $lines lines"
  done
}
offences long_headers "headers over $(limit header_lines) lines" \
  < <(long "$(limit header_lines)" '.*\.\(hpp\|cuh\)')
offences long_ipps "implementations over $(limit ipp_lines) lines" \
  < <(long "$(limit ipp_lines)" '.*\.ipp')

openings() {
  find include -type f -regex '.*\.\(hpp\|cuh\)' | sort | while read -r file; do
    awk -v most="$1" -v file="$file" '
      /^#include/ { exit }
      /^ *\/\// { ++n }
      /^(namespace|template|class|struct|inline)/ { exit }
      END { if (n > most) printf "%s:1: %d lines before the includes\n", file, n }' "$file"
  done
}
offences long_openings "openings over $(limit opening_lines) lines" \
  < <(openings "$(limit opening_lines)")

# Pronouns for things, and words for which the field has its own.
words='whoever|whomever|whatever|nobody|somebody|everybody|anybody|someone|everyone|anyone|no one'
words+='|strikes?|struck|goodbye|farewell|zombies?|crew|diary|fates?|seats?|meetings?|harvests?'
words+='|borrow(s|ed)?|(fall|fell|fallen|falls) silent|(call|calls|called) off|in vain|by turns'
words+='|by lot|tournament'
offences words "comments with a word of the list" \
  < <(grep -rnEi "//.*\b($words)\b" include | cut -c1-160
    grep -rnE '^ *//+ *(Whose|Who|whose)\b' include | cut -c1-160)
exit $status
