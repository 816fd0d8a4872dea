// Pipes, socket pairs and handing descriptors to another process.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace twinkle {

/// (read end, write end), close-on-exec. Throws NATIVE.
std::pair<int, int> make_pipe();
/// A connected pair of AF_UNIX stream sockets, close-on-exec. Throws NATIVE.
std::pair<int, int> make_socket_pair();
/// All bytes with all descriptors, or nothing: throws NATIVE with EAGAIN when the peer does not read.
void send_fds(int socket, const void* data, std::size_t size, const std::vector<int>& fds);
/// Throws NATIVE with EBADF when it is not open.
void close_fd(int fd);

}  // namespace twinkle
