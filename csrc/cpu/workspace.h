// Memory for the length of one call: leased by the calling thread, kept for the next call, freed when told to.
#pragma once

#include <cstdint>
#include <memory>

namespace amended_darts {

class WorkspaceArena;

// One call's memory: a shared part and one scratch part per worker that is running. What it holds is undefined at
// first.
class Workspace {
 public:
  Workspace();  // leases an arena that no other call uses, or makes one
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  // Memory for `floats` floats, aligned to 64 bytes, valid until the call ends. Called once.
  float* shared(int64_t floats);

  // A worker's own memory, given back when the object dies.
  class Scratch {
   public:
    Scratch(Workspace& workspace, int64_t floats);
    ~Scratch();
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    float* data() const { return data_; }

   private:
    Workspace& workspace_;
    int64_t slot_;
    float* data_;
  };

 private:
  std::unique_ptr<WorkspaceArena> arena_;
};

// Frees everything no call is using.
void release_workspace();

// Bytes held between calls.
int64_t workspace_bytes();

}  // namespace amended_darts
