/** The floor of the health route: fastify and nothing else. */
import { fastify } from 'fastify';

const app = fastify();
app.get('/health', (_request, reply) => reply.send());
await app.listen({ host: '127.0.0.1', port: 0 });
process.send({ port: app.server.address().port });
