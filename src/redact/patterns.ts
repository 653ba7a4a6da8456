/**
 * What the ready-made redactors look for. Every pattern runs in linear time, whatever the text: where a run of
 * characters must be followed by something, the run may start at one place only, or its length is bounded. A test
 * feeds them hostile megabytes.
 *
 * Ours, because what exists did not hold (tried in November 2026): the patterns of @logtape/redaction 2.3 take 6 s
 * for 100 KB of "a" and know no API keys; openredaction 1.1 is 3.8 MB and let a `sk-proj-…` key and a plain e-mail
 * address pass; @secretlint's preset finds but does not replace; redact-pii brings Google's DLP client.
 */

/** Gives back the text without what it looks for. `key` is the name under which the text stands in its object. */
export type TextRedactor = (text: string, key?: string) => string;

/** No quotes, no backslash, no white space: it may stand anywhere in JSON, in a URL, in an encoded message. */
const marker = (what: string): string => `[REDACTED:${what}]`;

// A token starts where no letter, digit, _ or - stands before (but for the _ of Markdown), or after what stands for
// another character: an escape of JSON that is itself text (cut-off tool arguments, for example) or of a URL, a terminal's
// colour. These end with letters or digits, which would otherwise look like a part of the token.
const START = String.raw`(?:(?<![\w-])|(?<=\\[nrt]|\\u[0-9a-fA-F]{4}|%[0-9A-F]{2}|(?:\x1b|\\u001b)\[[0-9;]{0,12}m|(?<![\w-])_{1,3}))`;

const KEY_SHAPES: readonly RegExp[] = [
  // OpenAI, Anthropic, DeepSeek, OpenRouter, Langfuse, Cerebras; a digit or capital tells keys from sk-learn-contrib-…
  /(?:sk|csk|[sp]k-lf)-(?=[\w-]*[A-Z0-9])[\w-]{16,}/,
  // Groq, Hugging Face, Replicate, Fireworks, npm, Notion, Linear, Supabase, DigitalOcean, E2B; then with dashes inside:
  // Together, Docker, Figma, LangSmith, Pinecone, Vercel, Grafana, PlanetScale
  /(?:gsk|hf|api_org|r8|fw|npm|ntn|lin_api|sbp|do[opr]_v1|e2b)_[A-Za-z0-9]{20,}/,
  /(?:tgp_v1|dckr_pat|figd|lsv2_[ps][tk]|pcsk|vc[acikpr]|glsa|sb_secret|pscale_(?:tkn|pw))_(?=[\w-]*[A-Z0-9])[\w-]{20,}/,
  // xAI, Perplexity, NVIDIA, Postman, Google clients, PyPI, Tavily; GitLab; Voyage, which has nothing but its length
  /(?:xai|pplx|nvapi|PMAK|GOCSPX|pypi|tvly)-(?=[\w-]*[A-Z0-9])[\w-]{20,}/,
  /gl(?:pat|dt|rt|rtr|ptt|cbt|soat|ft|imt|agent|oas)-(?=[\w-]*[A-Z0-9])[\w-]{20,}(?:\.[0-9a-z]{2}\.[0-9a-z]{7,9})?/,
  /pa-(?=[\w-]*[A-Z])(?=[\w-]*[0-9])[\w-]{43}(?![\w-])/,
  // Mailgun, Firecrawl, Databricks, Twilio; ElevenLabs; Jina; Z.ai
  /(?:key-|fc-|dapi|SK)[0-9a-f]{32}(?![A-Za-z0-9])/,
  /sk_[0-9a-f]{48}(?!\w)/,
  /jina_[0-9a-f]{32}[\w-]{10,}/,
  /[0-9a-f]{32}\.(?=[a-z0-9]*[A-Z])[A-Za-z0-9]{16}(?!\w)/,
  // HashiCorp Vault, Doppler, Sentry, Atlassian
  /hv[bs]\.[\w-]{20,}/,
  /dp\.(?:pt|st|ct|sa)\.(?:[\w-]{1,40}\.)?\w{40,}/,
  /sntry[su]_[\w+/=-]{30,}/,
  /AT(?:ATT|CTT)[\w-]{50,}(?:=[0-9A-F]{8})?/,
  // Stripe
  /(?:[srp]k_(?:org_)?(?:live|test)|whsec)_[A-Za-z0-9+/=]{10,}/,
  // GitHub
  /(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,})/,
  // AWS access key ids and Bedrock, Google API keys, access and refresh tokens, Azure keys and client secrets
  /(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])/,
  /(?:ABSK|bedrock-api-key-)[A-Za-z0-9+/]{50,}={0,2}/,
  /AIza[\w-]{30,}/,
  /AQ\.[\w-]{35,}/,
  /ya29\.[\w-]{20,}(?:\.[\w-]+)*/,
  /1\/\/0[\w-]{40,}/,
  /[A-Za-z0-9]{52}JQQJ99[A-Za-z0-9]{26}(?![A-Za-z0-9])/,
  /[\w~.]{3}[0-9]Q~[\w~.-]{31,34}/,
  // Slack, SendGrid, Shopify, age, Telegram and Discord bots (an id in base64 goes before), webhooks
  /(?:xox[a-z]|xapp)-[\w-]{10,}/,
  /SG\.[\w-]{16,}\.[\w-]{16,}/,
  /shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}/,
  /AGE-SECRET-KEY-1[A-Z0-9]{40,}/,
  /[0-9]{8,10}:AA[\w-]{32,}/,
  /(?:[MNO][DTjz][AEIMQUYcgk][w-z0-5]){5}[\w-]{3,8}\.[\w-]{6}\.[\w-]{27,40}/,
  /https:\/\/(?:hooks\.slack\.com\/(?:services|workflows|triggers)|discord(?:app)?\.com\/api\/webhooks)\/[\w/-]{20,}/,
  // JWTs: encrypted ones of five parts, of which the second may be empty; of three, and an unsigned one ends with the dot
  /eyJ[\w-]{8,}\.[\w-]*(?:\.[\w-]{8,}){3}/,
  /eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/,
];

const API_KEYS = new RegExp(`${START}(?:${KEY_SHAPES.map(({ source }) => source).join("|")})`, "g");

/** `Authorization: …` in headers, JSON and curl commands; and a `Bearer …` by itself, unless it is prose. */
const AUTHORIZATION =
  /(authorization\\?["']?\s{0,4}[:=]\s{0,4}\\?["']?(?:(?:bearer|basic|token|apikey|digest)\s{1,4}|(?:[a-z][a-z-]{1,19}|AWS4-HMAC-SHA256)[ \t]{1,4}(?=[\w.~+/=:-]{16})(?=[\w.~+/=:-]{0,200}[0-9])|(?=[\w.~+/=:-]{0,200}[0-9])))[\w.~+/=:-]{6,}/gi;
const BEARER = /(\bbearer\s{1,4})(?=[\w.~+/=-]*[0-9])[\w.~+/=-]{16,}/gi;

/** Names whose value is a secret, whatever it looks like. Not `token`: a token of `logprobs` is a piece of text. */
const SECRET_NAME =
  "(?:(?:api|secret|access|private|subscription|encryption|signing)[ _-]?key|secret[ _-]?access[ _-]?key|(?:access|auth|refresh|bearer|session|security|bot|api)[_-]?token|secret|password|passwd|passphrase)";
const SECRET_KEY = new RegExp(`${SECRET_NAME}$|(?:^|-)authorization$`, "i");
/** `OPENAI_API_KEY=…`, `x-api-key: …`, `password = "…"`; a digit tells values from code such as process.env.API_KEY. */
const ASSIGNMENT = new RegExp(
  String.raw`(${SECRET_NAME}\\?["']?\s{0,4}[:=：]\s{0,4}\\?["']?)(?=[^\s"'\\,;[\]{}()<>]{0,200}[0-9])[^\s"'\\,;[\]{}()<>]{8,}`,
  "gi",
);
/** `"password": "…"`: name and value in quotes are data, whatever the value. In whole JSON the name is known; this is for parts. */
const QUOTED = new RegExp(String.raw`(${SECRET_NAME}(\\?["'])\s{0,4}:\s{0,4}\2)[^"'\\\n]{1,200}(?=\2)`, "gi");
/** Signatures and tokens of URLs, keys of connection strings. */
const PARAMETER =
  /([?&](?:token|sig|signature|x-(?:amz|goog)-signature|x-amz-security-token)=|\b(?:Account|SharedAccess)Key=)(?=[\w%+/=.~-]{0,200}[0-9])[\w%+/=.~-]{16,}/gi;
/** The password in `postgres://user:password@host`. */
const URL_PASSWORD = /(\b[a-z][a-z0-9+.-]{1,20}:\/\/[^\s:/@"']{0,100}:)[^\s/?"'[\]]{1,200}(?=@)/gi;

const KEY_LABEL = "[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----";
const GAP = String.raw`(?:\s|\\+[nr])+`;
/** `Version: GnuPG v2`, `DEK-Info: AES-256-CBC,…` */
const KEY_HEADERS = String.raw`(?:(?:\r?\n|(?:\\+r)?\\+n)[A-Za-z-]{1,30}: [^\r\n\\]{1,200}){0,6}`;
/** A whole block; or, cut off before its end, the label with its headers and the base64 lines that follow. */
const PRIVATE_KEY = new RegExp(
  `-----BEGIN ${KEY_LABEL}(?:[^-]*(?:-(?!----)[^-]*)*-----END ${KEY_LABEL}|${KEY_HEADERS}(?:${GAP}[A-Za-z0-9+/=]{20,})+(?:${GAP}[A-Za-z0-9+/=]+$)?)`,
  "g",
);

/** Keys and tokens: by their shape, by the name they stand under, by the header they travel in. */
export const redactSecretsInText: TextRedactor = (text, key) => {
  if (key !== undefined && text !== "" && SECRET_KEY.test(key)) return isMarker(text) ? text : marker("secret");
  return text
    .replace(PRIVATE_KEY, marker("private-key"))
    .replace(AUTHORIZATION, `$1${marker("secret")}`)
    .replace(BEARER, `$1${marker("secret")}`)
    .replace(API_KEYS, marker("secret"))
    .replace(PARAMETER, `$1${marker("secret")}`)
    .replace(QUOTED, `$1${marker("secret")}`)
    .replace(ASSIGNMENT, `$1${marker("secret")}`)
    .replace(URL_PASSWORD, `$1${marker("secret")}`);
};

const isMarker = (text: string): boolean => /^\[REDACTED:[^\]]*\]$/.test(text);

/** `@`, also as a Japanese keyboard writes it, in URLs, in JSON and in HTML; but not that of `icon@2x.png`. */
const AT = String.raw`(?:[@＠]|%40|\\u0040|&#(?:64|x40);)(?!\dx\.(?:png|jpe?g|webp|gif|svg)\b)`;

/** Addresses of these letters. Marks belong to them (vowels of Hindi, decomposed umlauts), and so does what is not to be seen. */
function emailOf(letters: string, dots: string): RegExp {
  const letter = String.raw`${letters}\p{M}\p{Cf}`;
  const local = String.raw`[${letter}\p{N}._%+-]`;
  const label = String.raw`[${letter}\p{N}-]+`;
  // The look-behinds let a run of address characters start at one place only: without them, a long run without an @ is
  // scanned again from each of its characters.
  const start = `(?<!${local})(?<!${local}')`;
  return new RegExp(
    String.raw`${start}${local}+(?:'${local}+)*${AT}(?:${label}[${dots}])+[${letters}][${letter}\p{N}-]+`,
    "gu",
  );
}

/** First those of Latin letters, around which Chinese or Japanese may stand without a space; then those of any. */
const EMAILS = [emailOf(String.raw`\p{Script=Latin}`, ".．"), emailOf(String.raw`\p{L}`, ".．。")];

/** E-mail addresses, international ones and `%40` in URLs included. */
export const redactEmailsInText: TextRedactor = (text) =>
  /[@＠]|%40|\\u0040|&#/.test(text) ? EMAILS.reduce((left, email) => left.replace(email, marker("email")), text) : text;

// Of Arabic, Persian and full-width writing, too: the last four bits of each of these are what it counts.
const DIGIT = String.raw`[0-9\u0660-\u0669\u06f0-\u06f9\uff10-\uff19]`;
const SPACE = String.raw` \u00a0\u2007\u2009\u202f\u3000\u200b-\u200d\ufeff`;
const HYPHEN = String.raw`\u2010-\u2015\u2212\uff0d-`;
// Not inside words (hashes, ids), not after a decimal point. The `_` of Markdown is none of a word.
const BEFORE = String.raw`(?:(?<![\w${DIGIT.slice(1)})(?<!\d\.)|(?<=\\[nrt]|(?<!\w)_{1,3}))`;
const AFTER = String.raw`(?![A-Za-z0-9${DIGIT.slice(1)}|_+\w)`;
/** Groups of digits with one space or hyphen between. */
const DIGIT_RUN = new RegExp(`${BEFORE}${DIGIT}+(?:[${SPACE}${HYPHEN}]${DIGIT}+)*${AFTER}`, "g");
/** With more or something else between, only in the groups in which cards show their numbers. */
const GROUPS = new RegExp(
  String.raw`${BEFORE}(?<!\.)\d{4}( {2,3}|[./]| [${HYPHEN}] )(?:\d{4}\1\d{4}\1\d{4}|\d{6}\1\d{5})${AFTER}`,
  "g",
);

/** Card numbers: with or without separators, of an issuer's form, that pass the Luhn check. */
export const redactCardNumbersInText: TextRedactor = (text) =>
  text
    .replace(DIGIT_RUN, redactRun)
    .replace(GROUPS, (groups) => (isCardNumber(groups.replaceAll(/\D/g, "")) ? marker("card") : groups));

const MIN_DIGITS = 13;
const MAX_DIGITS = 19;

interface Run {
  /** Its digits, as ASCII, with nothing between. */
  readonly digits: string;
  /** Where each of them stands in the run. */
  readonly places: readonly number[];
  /** Which of them begin a group; and, in the end, how many there are. */
  readonly starts: readonly number[];
}

/** In one pass over the characters: a run may be a megabyte of groups. */
function readRun(run: string): Run {
  const places: number[] = [];
  const starts: number[] = [];
  let digits = "";
  for (let place = 0; place < run.length; place++) {
    const code = run.charCodeAt(place);
    if (!isDigit(code)) continue;
    if (places.at(-1) !== place - 1) starts.push(places.length);
    places.push(place);
    digits += code & 15;
  }
  starts.push(places.length);
  return { digits, places, starts };
}

const OTHER_DIGIT = new RegExp(DIGIT);
const isDigit = (code: number): boolean =>
  (code >= 48 && code <= 57) || (code > 127 && OTHER_DIGIT.test(String.fromCharCode(code)));

function redactRun(run: string): string {
  if (run.length < MIN_DIGITS) return run;
  const { digits, places, starts } = readRun(run);
  let redacted = "";
  let done = 0;
  let doneDigits = 0;
  for (const [group, start] of starts.entries()) {
    const end = start < doneDigits ? undefined : endOfCard(digits, starts, group);
    if (end === undefined) continue;
    redacted += run.slice(done, places[start]) + marker("card");
    done = (places[end - 1] ?? 0) + 1;
    doneDigits = end;
  }
  return redacted + run.slice(done);
}

/** Where, in digits, the longest card number that starts with this group ends. */
function endOfCard(digits: string, starts: readonly number[], group: number): number | undefined {
  const start = starts[group] ?? 0;
  let longest: number | undefined;
  for (let next = group + 1; next < starts.length; next++) {
    const end = starts[next] ?? 0;
    if (end - start > MAX_DIGITS) break;
    if (end - start >= MIN_DIGITS && isCardNumber(digits.slice(start, end))) longest = end;
  }
  return longest;
}

// By what issuers' numbers begin with, and how long they are then: else one in ten of all other numbers would pass for
// one, times (2026…) and ids among them, and every IMEI and SIRET, which are made to pass.
const ISSUED = new RegExp(
  [
    String.raw`4(?:\d{12}|\d{15}|\d{18})`, // Visa
    String.raw`3[47]\d{13}`, // American Express
    String.raw`3(?:0[0-59]|[689]\d)\d{11,16}`, // Diners Club
    String.raw`(?:(?:35|5[0-8]|6\d)\d{14,17}|220[0-4]\d{12,15})`, // JCB, Mastercard, Maestro, Discover, UnionPay, RuPay; Mir
    String.raw`(?:2[2-7]|8[12])\d{14}|9792\d{12}`, // Mastercard, RuPay, Troy
  ]
    .map((form) => `^(?:${form})$`)
    .join("|"),
);

const isCardNumber = (digits: string): boolean => passesLuhn(digits) && ISSUED.test(digits);

function passesLuhn(digits: string): boolean {
  let sum = 0;
  let weight = 1;
  for (let index = digits.length - 1; index >= 0; index--) {
    const weighed = (digits.charCodeAt(index) - 48) * weight;
    sum += weighed > 9 ? weighed - 9 : weighed;
    weight = 3 - weight;
  }
  return sum % 10 === 0;
}
