// A small interpreter of classic BPF: what a seccomp filter says about one call.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

namespace wherry::runtime {

inline uint32_t verdict(std::string_view filter, const seccomp_data& data) {
  uint32_t accumulator = 0;
  for (size_t pc = 0; (pc + 1) * sizeof(sock_filter) <= filter.size(); ++pc) {
    sock_filter line;
    std::memcpy(&line, filter.data() + pc * sizeof line, sizeof line);
    switch (line.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        if (line.k > sizeof data - 4) throw std::out_of_range("load");
        std::memcpy(&accumulator, reinterpret_cast<const char*>(&data) + line.k, 4);
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        accumulator &= line.k;
        break;
      case BPF_JMP | BPF_JA:
        pc += line.k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        pc += accumulator == line.k ? line.jt : line.jf;
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        pc += accumulator > line.k ? line.jt : line.jf;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        pc += accumulator >= line.k ? line.jt : line.jf;
        break;
      case BPF_JMP | BPF_JSET | BPF_K:
        pc += (accumulator & line.k) != 0 ? line.jt : line.jf;
        break;
      case BPF_RET | BPF_K:
        return line.k;
      default:
        throw std::invalid_argument("instruction " + std::to_string(line.code));
    }
  }
  throw std::out_of_range("no verdict");
}

}  // namespace wherry::runtime
