/** What the steps on GPUs ask the built-in model, so that answers of different devices and layouts can be compared. */
export const QUESTIONS = [
  'Hello! Who are you?',
  'What is the capital of France?',
  'What is 7 plus 5?',
  'Name three colours.',
  'Which month comes after May?',
  'Tell me a story.',
  'What is a rank?',
  'How many days has a week?',
];
