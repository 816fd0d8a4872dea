/** The OpenAI routes mounted under a prefix of your own fastify. `node docs/examples/mount.mjs [MODEL] [ENGINE]` */
import { fastify } from 'fastify';
import { createServer } from 'twinkle-node';

const [model, engine] = process.argv.slice(2);
const server = await createServer({ listen: false, ...(model && { model }), ...(engine && { engine }) });
const app = fastify();
app.get('/', async () => ({ hello: 'from my own backend' }));
await app.register(server.plugin, { prefix: '/llm' });
app.addHook('onClose', () => server.close());
await app.listen({ port: Number(process.env.PORT ?? 3000) });
console.log(`curl http://127.0.0.1:${app.server.address().port}/llm/v1/models`);
process.once('SIGTERM', () => app.close());
