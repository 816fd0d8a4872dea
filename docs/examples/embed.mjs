/** A model inside your own Node process: no HTTP, just an async iterator. `node docs/examples/embed.mjs [MODEL] [ENGINE]` */
import { createServer } from 'twinkle-node';

const [model, engine] = process.argv.slice(2);
// From Node 24 on: `await using server = await createServer(…)` instead of try and finally.
const server = await createServer({ listen: false, ...(model && { model }), ...(engine && { engine }) });
try {
  const messages = [{ role: 'user', content: 'Hello! Who are you?' }];
  for await (const piece of server.generate({ messages, maxTokens: 64, temperature: 0 })) process.stdout.write(piece.text);
  process.stdout.write('\n');
} finally {
  await server.close();
}
