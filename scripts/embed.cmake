# SPDX-License-Identifier: MIT
#
# Writes a header with the text of each file in FILES:
#   static const struct lua_embedded { const char *name; const unsigned char *text; size_t bytes; }
#   lua_embedded[]  (ends with a NULL name)
set(arrays "")
set(rows "")
foreach(file ${FILES})
    get_filename_component(name ${file} NAME_WE)
    file(READ ${file} hex HEX)
    string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
    string(APPEND arrays "static const unsigned char lua_text_${name}[] = {${bytes}0};\n")
    string(APPEND rows "    {\"${name}\", lua_text_${name}, sizeof lua_text_${name} - 1},\n")
endforeach()
file(WRITE ${OUTPUT}.new "/* made by scripts/embed.cmake */\n#include <stddef.h>\n${arrays}\
static const struct lua_embedded {\n    const char *name;\n    const unsigned char *text;\n    \
size_t bytes;\n} lua_embedded[] = {\n${rows}    {NULL, NULL, 0},\n};\n")
execute_process(COMMAND ${CMAKE_COMMAND} -E copy_if_different ${OUTPUT}.new ${OUTPUT})
file(REMOVE ${OUTPUT}.new)
