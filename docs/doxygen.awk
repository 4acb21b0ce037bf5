# Shows Doxygen a header as this project's readers read it:
#
# - the comment at the top is about the file, and its indented lines are code;
# - a comment behind a declaration is about that declaration;
# - a comment with three slashes is about all declarations down to the next comment or empty line,
#   a struct's also about the functions right below it;
# - a title, "// ---- products", is about what has no comment of its own down to the next title;
# - a struct's comment is about the members that say nothing themselves, and a class's about how it is
#   made, copied and destroyed; one without a comment has the first paragraph of the file's.
# Functions that none of these describes stay without a description, so that Doxygen names them.

function indent(line) {
  match(line, /^ */)
  return RLENGTH
}

# The comment of a declaration that has none of its own.
function described(code) {
  if (code ~ /^ *(class|struct|enum) /) return code ~ /{/ ? doc != "" ? doc : file : ""
  if (code ~ /^ *(namespace|extern|static_assert)[ (]/) return ""
  if (doc != "") return doc
  if (title[depth] != "") return title[depth]
  if (code !~ /\(/) return about[depth]
  if (code ~ /^ *~|= (delete|default);|operator=\(|^ *friend /) return about[depth]
  if (name[depth] != "" && code ~ "^ *(explicit )?" name[depth] "\\(") return about[depth]
  return ""
}

# Prints "double lr = 1, eps = 0;" as one declaration for each, all with the same comment.
function print_each(code, before, behind,    type, names, count, i) {
  match(code, /^ *[A-Za-z0-9_:]+(<[A-Za-z0-9_:]+>)? /)
  type = substr(code, 1, RLENGTH)
  code = substr(code, RLENGTH + 1)
  sub(/; *$/, "", code)
  count = split(code, names, ", ")
  for (i = 1; i <= count; i++) printf "%s%s%s;%s\n", before, type, names[i], behind
}

FNR == 1 { top = 1; file = ""; told = 0; depth = 0; scope[0] = 1; whole = 1; print "/// \\file" }

top && /^\/\// {
  if (/^\/\/$/) told = 1
  if (!told) file = file "/" $0 "\n"
  sub(/^\/\/   /, "///     ") || sub(/^\/\//, "///")
  print
  next
}
top { top = 0 }

# Macros with arguments are this project's own business.
/^#define [A-Z0-9_]+\(/ { macro = 1 }
macro { macro = /\\$/; print ""; next }

/^ *\/\*\*/, /\*\// {
  if (/^ *\/\*\*/) doc = ""
  doc = doc $0 "\n"
  own = 1
  in_doc = 1
  print
  next
}

/^ *\/\/\// {
  if (!in_doc) doc = ""
  in_doc = 1
  doc = doc $0 "\n"
  print
  next
}
{ own = in_doc; in_doc = 0 }

/^ *$/ { doc = ""; print; next }

/^ *\/\/ ---- / {
  title[depth] = $0 "\n"
  sub(/\/\/ ---- /, "/// ", title[depth])
  in_title = 1
  doc = ""
  print
  next
}

# Ordinary comments. One that goes on from the end of a line above begins far to the right.
/^ *\/\// {
  if (in_title) {
    line = $0
    sub(/\/\//, "///", line)
    title[depth] = title[depth] line "\n"
  } else if (trailing && indent($0) > trailing - 2) {
    sub(/\/\//, "///<")
  } else {
    doc = ""
  }
  print
  next
}

{
  in_title = 0
  trailing = 0
  line = $0
  if (match(line, /[;,{}] +\/\/ /) && line !~ /} +\/\/ namespace/) {
    trailing = match(line, / \/\/ /) + 1
    sub(/ \/\/ /, " ///< ", line)
  }
  code = line
  sub(/ *\/\/\/<.*/, "", code)
  before = ""
  if (!own && !trailing && scope[depth] && whole &&
      code !~ /^ *(public|private|protected):/ && code !~ /^ *[#}\/]/)
    before = described(code)
  if (scope[depth] && whole && code ~ /^ *[A-Za-z0-9_:]+(<[A-Za-z0-9_:]+>)? [^<>(){}]*, [^<>(){}]*;$/ && code !~ /^ *using /)
    print_each(code, own ? doc : before, substr(line, length(code) + 1))
  else
    print before line

  head = code
  opens = gsub(/{/, "{", code)
  closes = gsub(/}/, "}", code)
  for (i = 0; i < opens - closes; i++) {
    depth++
    scope[depth] = scope[depth - 1] && head ~ /^ *(namespace|class|struct|enum|extern)/
    about[depth] = head !~ /^ *(class|struct|enum)/ ? "" : doc != "" ? doc : file
    title[depth] = ""
    name[depth] = ""
    if (match(head, /^ *(class|struct) (UNROLL_API )?[A-Za-z0-9_]+/)) {
      name[depth] = substr(head, RSTART, RLENGTH)
      sub(/.* /, "", name[depth])
    }
  }
  if (opens != closes) doc = code ~ /^ *};/ ? about[depth] : ""
  if (closes > opens) depth -= closes - opens
  whole = code ~ /[;{}:] *$/ || code ~ /^ *#/
}
