# Numbers that the tests of the package hold the repository to. Each of them may only fall.
set(limit_headers_without_test 35) # headers of include/shunt/<room>/ without a test of their name
set(limit_columns 100)             # of a line
set(limit_header_lines 300)        # of a header
set(limit_ipp_lines 500)           # of an implementation (.ipp)
set(limit_opening_lines 12)        # of comment before the first #include of a header
set(limit_long_lines 0)            # lines over limit_columns
set(limit_long_headers 0)          # headers over limit_header_lines
set(limit_long_ipps 0)             # implementations over limit_ipp_lines
set(limit_long_openings 0)         # headers over limit_opening_lines
set(limit_words 0)                 # comments of include/ with a word of the list in text.sh
