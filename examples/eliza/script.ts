import type { Script } from "./engine.ts";

/** A listener's script after the manner of Weizenbaum's DOCTOR, in words of our own. */
export const listener: Script = {
  pre: {
    "i'm": "i am",
    im: "i am",
    "i've": "i have",
    "i'd": "i would",
    "i'll": "i will",
    "you're": "you are",
    "you've": "you have",
    "can't": "cannot",
    cant: "cannot",
    "don't": "do not",
    dont: "do not",
    "won't": "will not",
    "isn't": "is not",
    "it's": "it is",
    "that's": "that is",
    "what's": "what is",
    recollect: "remember",
    dreamt: "dreamed",
    mum: "mother",
    mom: "mother",
    dad: "father",
    hi: "hello",
    hey: "hello",
    maybe: "perhaps",
    computers: "computer",
    machine: "computer",
    machines: "computer",
    program: "computer",
  },
  post: {
    i: "you",
    me: "you",
    my: "your",
    mine: "yours",
    myself: "yourself",
    am: "are",
    was: "were",
    you: "I",
    your: "my",
    yours: "mine",
    yourself: "myself",
    are: "am",
    we: "you",
    us: "you",
    our: "your",
  },
  synonyms: {
    sad: ["sad", "unhappy", "depressed", "miserable", "lonely", "tired", "afraid", "worried", "angry"],
    glad: ["happy", "glad", "better", "proud", "relieved", "calm"],
    want: ["want", "need", "wish", "desire"],
    think: ["think", "believe", "feel", "suppose"],
    family: ["mother", "father", "sister", "brother", "wife", "husband", "child", "children", "son", "daughter"],
    everyone: ["everyone", "everybody", "nobody", "noone"],
  },
  keywords: [
    {
      word: "sorry",
      rank: 0,
      rules: [{ pattern: "*", answers: ["There is nothing to be sorry for.", "Please do not apologise. Go on."] }],
    },
    {
      word: "hello",
      rank: 0,
      rules: [{ pattern: "*", answers: ["Good day. What is on your mind?", "Hello. Where shall we begin?"] }],
    },
    {
      word: "remember",
      rank: 5,
      rules: [
        {
          pattern: "* i remember *",
          answers: [
            "Does $2 come back to you often?",
            "What else comes to mind with $2?",
            "Why do you think of $2 just now?",
          ],
        },
        {
          pattern: "* do you remember *",
          answers: ["Did you expect me to forget $2?", "What is it about $2 that I should recall?"],
        },
      ],
    },
    {
      word: "if",
      rank: 3,
      rules: [
        {
          pattern: "* if *",
          answers: ["How likely is it that $2?", "Suppose that $2. What then?", "What would it mean to you if $2?"],
        },
      ],
    },
    {
      word: "dreamed",
      rank: 4,
      rules: [
        {
          pattern: "* i dreamed *",
          answers: ["Have you ever imagined $2 while awake?", "What was the strongest feeling as you dreamed $2?"],
        },
        { pattern: "*", answers: ["=dream"] },
      ],
    },
    {
      word: "dream",
      rank: 3,
      rules: [{ pattern: "*", answers: ["What does that dream tell you?", "Who else appears in your dreams?"] }],
    },
    {
      word: "perhaps",
      rank: 0,
      rules: [{ pattern: "*", answers: ["You do not sound certain.", "What would make it certain?"] }],
    },
    {
      word: "computer",
      rank: 50,
      rules: [
        {
          pattern: "*",
          answers: [
            "Do machines trouble you?",
            "What do you suppose a machine could understand of this?",
            "Are you speaking of me in particular?",
          ],
        },
      ],
    },
    {
      word: "am",
      rank: 1,
      rules: [
        {
          pattern: "* i am * @sad *",
          answers: ["I regret to hear that you are $3. Since when?", "What made you $3, do you think?"],
        },
        {
          pattern: "* i am * @glad *",
          answers: ["What made you $3?", "How long has it been since you were last $3?"],
        },
        { pattern: "* i am *", answers: ["How long have you been $2?", "What is it like to be $2?"] },
        { pattern: "* am i *", answers: ["Would you like to be $2?", "Who says that you are $2?"] },
      ],
    },
    {
      word: "are",
      rank: 1,
      rules: [
        {
          pattern: "* are you *",
          answers: ["Why does it matter whether I am $2 or not?", "Would you prefer that I were not $2?"],
        },
        {
          pattern: "* you are *",
          answers: ["What makes you think that I am $2?", "Does it please you to find me $2?"],
        },
        { pattern: "* they are *", answers: ["And what if they were not $2?", "Have they always been $2?"] },
      ],
    },
    {
      word: "my",
      rank: 2,
      memory: [
        {
          pattern: "* my @family *",
          answers: ["Earlier you spoke of your $2. Let us return to that.", "Has this anything to do with your $2?"],
        },
        {
          pattern: "* my *",
          answers: [
            "Earlier you spoke of your $2. Let us return to that.",
            "Has this anything to do with your $2?",
            "I am still thinking about your $2.",
          ],
        },
      ],
      rules: [
        {
          pattern: "* my * @family *",
          answers: ["Tell me more about your $2 $3.", "Who else in your family matters here?", "Your $2 $3?"],
        },
        { pattern: "* my *", answers: ["Your $2?", "Why do you mention your $2?", "What is special about your $2?"] },
      ],
    },
    {
      word: "i",
      rank: 1,
      rules: [
        {
          pattern: "* i @want *",
          answers: ["What would change if you had $3?", "Why do you $2 $3?", "Suppose you got $3 tomorrow."],
        },
        { pattern: "* i cannot *", answers: ["How do you know that you cannot $2?", "Have you tried to $2?"] },
        { pattern: "* i do not *", answers: ["Do you really not $2?", "Is it hard on you that you do not $2?"] },
        {
          pattern: "* i @think *",
          answers: ["Do you truly $2 so?", "What would convince you otherwise?", "And yet you are not sure $3?"],
        },
        { pattern: "* i *", answers: ["You $2?", "Why do you tell me that you $2?", "Go on about how you $2."] },
      ],
    },
    {
      word: "you",
      rank: 0,
      rules: [
        { pattern: "* you remind me of *", answers: ["In what way do I remind you of $2?"] },
        { pattern: "* you * me *", answers: ["What makes you think that I $2 you?", "Do you wish that I $2 you?"] },
        { pattern: "* you *", answers: ["We were speaking of you, not of me.", "Why do you say that I $2?"] },
      ],
    },
    {
      word: "yes",
      rank: 0,
      rules: [{ pattern: "*", answers: ["You seem quite sure.", "I see. And then?", "I understand."] }],
    },
    {
      word: "no",
      rank: 0,
      rules: [{ pattern: "*", answers: ["Why not?", "Are you saying no just to be contrary?", "Not at all?"] }],
    },
    {
      word: "because",
      rank: 1,
      rules: [{ pattern: "*", answers: ["Is that the real reason?", "What other reasons might there be?"] }],
    },
    {
      word: "what",
      rank: 0,
      rules: [{ pattern: "*", answers: ["Why do you ask?", "What answer would please you most?"] }],
    },
    { word: "how", rank: 0, rules: [{ pattern: "*", answers: ["=what"] }] },
    { word: "why", rank: 0, rules: [{ pattern: "*", answers: ["=what"] }] },
    {
      word: "always",
      rank: 1,
      rules: [{ pattern: "*", answers: ["Can you think of one example?", "Really always?"] }],
    },
    ...["everyone", "everybody", "nobody", "noone"].map((word) => ({
      word,
      rank: 2,
      rules: [{ pattern: "* @everyone *", answers: ["Whom do you have in mind?", "Surely not $2."] }],
    })),
    {
      word: "like",
      rank: 3,
      rules: [
        { pattern: "* is like *", answers: ["What likeness do you see?", "Could there really be some connection?"] },
      ],
    },
    {
      word: "goodbye",
      rank: 9,
      rules: [{ pattern: "*", answers: ["Goodbye. It was good to listen to you.", "Until next time."] }],
    },
  ],
  fallback: [
    "Please go on.",
    "I am not sure I follow. Can you say it another way?",
    "What does that suggest to you?",
    "That is interesting. Tell me more.",
  ],
};
