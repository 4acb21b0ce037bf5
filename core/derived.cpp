#include "core/derived.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>

#include "core/view.h"

namespace unroll {

namespace {

// Of all storages: a call holds it for some nanoseconds.
std::mutex mutex;

// Values of one storage; the oldest gives way.
constexpr std::size_t most_kept = 64;

}  // namespace

namespace detail {

struct Derived {
  struct Entry {
    Derivation::Parts parts;
    Derivation::Kind kind;
    Tensor value;

    // Made of the same first tensor in the same way. Of such there is one: others may be made anew
    // for every call, and what was made of them is never asked for again.
    bool gives_way_to(const Derivation& from) const noexcept {
      const Derivation::Part &a = parts[0], &b = from.parts_[0];
      return kind == from.kind_ && a.id == b.id && a.data == b.data;
    }
    // The same tensors as they are now.
    bool is_of(const Derivation& from) const noexcept {
      const auto same = [](const auto& a, const auto& b) {
        return a.id == b.id && a.data == b.data && a.version == b.version &&
               a.lendings == b.lendings;
      };
      return kind == from.kind_ &&
             std::equal(parts.begin(), parts.end(), from.parts_.begin(), same);
    }
  };
  memory::Vector<Entry> entries;
  std::size_t next = 0;  // to give way
  int lent = 0;          // now
  std::uint64_t lendings = 0;

  static bool is_lent(const TensorNode& storage) noexcept {
    return storage.derived && storage.derived->lent > 0;
  }
  static std::uint64_t lendings_of(const TensorNode& storage) noexcept {
    return storage.derived ? storage.derived->lendings : 0;
  }
  static Derived& of(TensorNode& storage) {
    if (!storage.derived) storage.derived = new Derived;
    return *storage.derived;
  }

  Tensor find(const Derivation& from) const {
    for (const Entry& entry : entries)
      if (entry.is_of(from)) return entry.value;
    return {};
  }

  // Returns what gave way.
  Tensor put(const Derivation& from, const Tensor& value) {
    const auto same = std::find_if(entries.begin(), entries.end(),
                                   [&](const Entry& entry) { return entry.gives_way_to(from); });
    Entry fresh{from.parts_, from.kind_, value};
    if (same == entries.end() && entries.size() < most_kept) {
      entries.push_back(std::move(fresh));
      return {};
    }
    Entry& entry = same == entries.end() ? entries[next++ % most_kept] : *same;
    std::swap(entry, fresh);
    return fresh.value;
  }
};

void destroy(Derived* derived) noexcept { delete derived; }

}  // namespace detail

using detail::Derived;

Derivation::Derivation(const Tensor* const (&from)[tensors],
                       const std::array<std::int64_t, numbers>& kind)
    : kind_(kind) {
  const std::lock_guard lock(mutex);
  for (int i = 0; i < tensors; i++) {
    if (!*from[i]) continue;
    detail::TensorNode* const storage = from[i]->node()->storage;
    parts_[static_cast<std::size_t>(i)] = {storage, storage->id, from[i]->node()->data,
                                           from[i]->version(), Derived::lendings_of(*storage)};
    can_keep_ = can_keep_ && !storage->foreign && !Derived::is_lent(*storage);
  }
  if (can_keep_ && parts_[0].storage->derived) found_ = parts_[0].storage->derived->find(*this);
}

void Derivation::keep(const Tensor& value) const {
  if (!can_keep_) return;
  Tensor old;  // goes after the lock
  const std::lock_guard lock(mutex);
  for (const Part& part : parts_)
    if (part.storage && (Derived::lendings_of(*part.storage) != part.lendings ||
                         part.storage->version.load(std::memory_order_relaxed) != part.version))
      return;
  old = Derived::of(*parts_[0].storage).put(*this, value);
}

Tensor lend(const Tensor& x) {
  Tensor lent = view::strided(x, x.shape(), x.strides(), 0);
  detail::TensorNode* const storage = x.node()->storage;
  if (storage->foreign) return lent;
  auto back = std::make_unique<detail::Foreign>();
  back->release = [storage] {
    const std::lock_guard lock(mutex);
    storage->derived->lent--;
  };
  memory::Vector<Derived::Entry> old;  // goes after the lock
  {
    const std::lock_guard lock(mutex);
    Derived& derived = Derived::of(*storage);
    derived.lent++;
    derived.lendings++;
    old = std::exchange(derived.entries, {});
  }
  lent.node()->foreign = back.release();
  return lent;
}

}  // namespace unroll
