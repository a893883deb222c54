"""How much of a line is followed. Whatever lies beyond one of these is a reason for doubt, never passed over."""

LINE_BYTES_MAX = 16 * 1024
TREE_MS_MAX = 50  # of processor time for one tree; 16 KiB of dense but sound shell take about 8
TREE_ROUNDS_MAX = 800  # of a hundred steps of the tree's parser; 16 KiB of sound shell take up to 520
UNTIMED_BYTES_MAX = 512  # a text this short always has its tree within that
COMMANDS_MAX = 256
DEPTH_MAX = 64
NESTED_MAX = 8
WRAPPERS_MAX = 16  # around one command, shells that are handed a text included
WORDS_MAX = 64  # what one brace expansion may become
BRACES_MAX = 16  # in one word
WORD_CHARS_MAX = LINE_BYTES_MAX  # of one word after expansion
STEPS_MAX = 4096  # words and parts of words that are resolved in one line
LOOP_VALUES_MAX = 32  # values of a `for` that are followed one by one
