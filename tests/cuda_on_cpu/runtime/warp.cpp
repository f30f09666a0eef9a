// Warp operations: a lane waits until every lane of its mask has come to the same operation.
#include <cstring>
#include <sstream>
#include <string>

#include "block.h"
#include "sanitizers.h"

namespace cuda_on_cpu {
namespace {

std::string hexadecimal(unsigned mask) {
  std::ostringstream out;
  out << "0x" << std::hex << mask;
  return out.str();
}

}  // namespace

void Blocks::exchange(unsigned mask, const void* in, void* out, size_t bytes, int source, bool orders_memory,
                      const char* what) {
  Thread& thread = threads_[current_];
  copy_unseen(thread.in, in, bytes);
  thread.bytes = bytes;
  thread.source = source;
  if (!(mask >> source & 1)) {
    error_ = std::string(what) + " reads lane " + std::to_string(source) + ", which its mask " + hexadecimal(mask) +
             " leaves out";
    wait(State::done);
  }
  wait_in_warp(thread, mask, orders_memory, what);
  copy_unseen(out, thread.out, bytes);
}

unsigned Blocks::vote(unsigned mask, bool predicate, const char* what) {
  Thread& thread = threads_[current_];
  thread.predicate = predicate;
  thread.bytes = 0;
  wait_in_warp(thread, mask, false, what);
  return thread.votes;
}

void Blocks::wait_in_warp(Thread& thread, unsigned mask, bool orders_memory, const char* what) {
  const int warp = thread.context->warp;
  if (!(mask >> thread.context->lane & 1)) {
    error_ = std::string(what) + " is called by a lane that its mask " + hexadecimal(mask) + " leaves out";
    wait(State::done);
  }
  thread.mask = mask;
  thread.where = what;
  waiting_lanes_[warp] |= 1u << thread.context->lane;
  thread.orders_memory = orders_memory;
  if (orders_memory) release(&barriers_[barrier_ + warp]);
  wait(State::in_warp);
}

void Blocks::complete_warp_operation(const Thread& last) {
  const unsigned mask = last.mask;
  const int warp = last.context->warp, first = warp * 32;
  if (count_ - first < 32 && (mask >> (count_ - first)) != 0)
    fail(last,
         std::string(last.where) + " names lanes in its mask " + hexadecimal(mask) + " that the block does not have");
  if ((waiting_lanes_[warp] & mask) != mask) return;
  unsigned votes = 0;
  for (int lane = 0; lane < 32; ++lane) {
    if (!(mask >> lane & 1)) continue;
    const Thread& thread = threads_[first + lane];
    if (thread.mask != mask) return;  // it waits for others first
    if (std::strcmp(thread.where, last.where) != 0)
      fail(last, std::string("lanes of one warp wait at different operations, ") + last.where + " and " + thread.where);
    votes |= static_cast<unsigned>(thread.predicate) << lane;
  }
  for (int lane = 0; lane < 32; ++lane) {
    if (!(mask >> lane & 1)) continue;
    Thread& thread = threads_[first + lane];
    copy_unseen(thread.out, threads_[first + thread.source].in, thread.bytes);
    thread.votes = votes;
    thread.state = State::ready;
    if (under_tsan() && thread.orders_memory) {  // at once: what others release later must not be acquired with it
      __tsan_switch_to_fiber(thread.fiber.tsan, 1);
      acquire(&barriers_[barrier_ + warp]);
      __tsan_switch_to_fiber(scheduler_tsan(), 1);
    }
  }
  waiting_lanes_[warp] &= ~mask;
}

void Blocks::explain_deadlock() {
  for (int t = 0; t < count_; ++t)
    if (threads_[t].state == State::in_warp)
      fail(threads_[t], std::string(threads_[t].where) + " waits for lanes of its mask " +
                            hexadecimal(threads_[t].mask) + " that never come");
  throw KernelError("the block cannot go on");
}

}  // namespace cuda_on_cpu
