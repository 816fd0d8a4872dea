/**
 * The completion script of bash. Ours, because the library's needs the package bash-completion, and evaluates what was typed.
 * Bash splits words at `=` too, so `--engine=mo` arrives as three: the `=` is left out.
 */

/** A script to source; asks `<program> complete -- WORDS…`, whose lines are `candidate<TAB>description` and a last `:number`. */
export function bashCompletion(program: string): string {
  const handler = `_${program.replaceAll('-', '_')}_complete`;
  return `# bash completion for ${program}
${handler}() {
  local word line words=()
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD}"; do
    [[ $word == = ]] || words+=("$word")
  done
  local current=\${COMP_WORDS[COMP_CWORD]}
  if [[ $current == = ]]; then
    current=
    words+=('')
  fi
  COMPREPLY=()
  while IFS= read -r line; do
    line=\${line%%$'\\t'*}
    [[ -n $line && $line != :* && $line == "$current"* ]] && COMPREPLY+=("$line")
  done < <(${program} complete -- "\${words[@]}" 2>/dev/null)
}
complete -o bashdefault -o default -F ${handler} ${program}
`;
}
