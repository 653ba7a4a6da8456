/**
 * A small ELIZA: the engine of Weizenbaum's program of 1966 (Communications of the ACM 9:1), written anew. A script
 * gives keywords with ranks; the highest-ranked keyword of a clause picks a decomposition rule, whose parts are put
 * together again with the persons exchanged ("my" becomes "your"). No chance is involved: rules take turns, so the
 * same conversation always gets the same answers.
 */

/** One way to take a clause apart, and the ways to answer it, which take turns. */
export interface Rule {
  /** Words, `*` for any run of words (also none), `@name` for one word of a synonym group. */
  readonly pattern: string;
  /** `$1` is what the first `*` or `@name` matched. `=word` hands the clause over to another keyword. */
  readonly answers: readonly string[];
}

export interface Keyword {
  readonly word: string;
  /** The keyword with the highest rank in a clause is tried first. */
  readonly rank: number;
  readonly rules: readonly Rule[];
  /** Said later, when a clause holds no keyword. Same form as `rules`. */
  readonly memory?: readonly Rule[];
}

export interface Script {
  /** Replaced before anything else: contractions and spellings, so that the patterns stay few. */
  readonly pre: Readonly<Record<string, string>>;
  /** Replaced in what is said back: the persons change sides. */
  readonly post: Readonly<Record<string, string>>;
  readonly synonyms: Readonly<Record<string, readonly string[]>>;
  readonly keywords: readonly Keyword[];
  /** When nothing else fits. */
  readonly fallback: readonly string[];
}

/** One conversation: it remembers what was said and which answers have had their turn. */
export interface Session {
  reply(text: string): string;
}

/** What keeps matching fast on hostile input: nobody says longer clauses. */
const MAX_CLAUSE_WORDS = 120;

/**
 * Start a conversation.
 *
 * @param variant moves every rule's turn on by so many answers: the second choice of `n` differs from the first.
 */
export function startSession(script: Script, variant = 0): Session {
  const turns = new Map<readonly string[], number>();
  const memory: string[] = [];

  const nextOf = (answers: readonly string[]): string => {
    const turn = turns.get(answers) ?? variant;
    turns.set(answers, turn + 1);
    return answers[turn % answers.length] ?? "";
  };

  const applyRules = (rules: readonly Rule[], words: readonly string[]): string | undefined => {
    for (const rule of rules) {
      const parts = matchWords(rule.pattern.split(" "), words, script.synonyms);
      if (parts !== undefined) return reassemble(nextOf(rule.answers), parts, script.post);
    }
    return undefined;
  };

  const applyKeyword = (keyword: Keyword, words: readonly string[]): string | undefined => {
    const remembered = keyword.memory && applyRules(keyword.memory, words);
    if (remembered !== undefined) memory.push(remembered);
    const answer = applyRules(keyword.rules, words);
    if (!answer?.startsWith("=")) return answer;
    const other = script.keywords.find(({ word }) => word === answer.slice(1));
    return other && applyRules(other.rules, words);
  };

  return {
    reply(text) {
      for (const words of toClauses(text, script.pre)) {
        for (const keyword of keywordsOf(script, words)) {
          const answer = applyKeyword(keyword, words);
          if (answer !== undefined) return answer;
        }
      }
      return memory.shift() ?? nextOf(script.fallback);
    },
  };
}

/** Weizenbaum's scan: a clause ends at punctuation or "but", and the first one that holds a keyword is answered. */
function toClauses(text: string, pre: Script["pre"]): string[][] {
  return text
    .replaceAll("’", "'")
    .split(/[.,;:!?()\n]+|\bbut\b/iu)
    .map((clause) => substitute(clause.match(/[\p{L}\p{N}'-]+/gu) ?? [], pre).slice(0, MAX_CLAUSE_WORDS))
    .filter((words) => words.length > 0);
}

function keywordsOf(script: Script, words: readonly string[]): Keyword[] {
  const said = new Set(words.map((word) => word.toLowerCase()));
  return script.keywords.filter(({ word }) => said.has(word)).sort((a, b) => b.rank - a.rank);
}

function substitute(words: readonly string[], table: Readonly<Record<string, string>>): string[] {
  return words.flatMap((word) => {
    const key = word.toLowerCase();
    return Object.hasOwn(table, key) ? (table[key] ?? word).split(" ") : [word];
  });
}

/** The words that each `*` and `@name` of the pattern stands for, or undefined when it does not fit. */
export function matchWords(
  pattern: readonly string[],
  words: readonly string[],
  synonyms: Script["synonyms"],
): string[][] | undefined {
  const [head, ...rest] = pattern;
  if (head === undefined) return words.length === 0 ? [] : undefined;
  if (head !== "*") {
    const word = words[0]?.toLowerCase();
    const isGroup = head.startsWith("@");
    const fits = isGroup ? synonyms[head.slice(1)]?.includes(word ?? "") : word === head;
    const tail = fits ? matchWords(rest, words.slice(1), synonyms) : undefined;
    return tail && isGroup ? [words.slice(0, 1), ...tail] : tail;
  }
  for (let taken = 0; taken <= words.length; taken++) {
    const tail = matchWords(rest, words.slice(taken), synonyms);
    if (tail !== undefined) return [words.slice(0, taken), ...tail];
  }
  return undefined;
}

function reassemble(answer: string, parts: readonly string[][], post: Script["post"]): string {
  return answer
    .replaceAll(/\$(\d)/g, (_, digit: string) => substitute(parts[Number(digit) - 1] ?? [], post).join(" "))
    .replaceAll(/\s+/g, " ")
    .replaceAll(/\s([?.!,])/g, "$1");
}
