// SPDX-License-Identifier: Apache-2.0
// What emulate.hpp declares: compiled once, and linked to every kernel.
#include "tests/emulate/emulate.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <vector>

// ---- fibers

struct emu_copy { unsigned to; const unsigned char *from; int size; bool wanted; };

// 64 x n results of a warpgroup: what one thread read for its share, and its sums. The left operand may be in registers, of which it has four.
struct emu_product {
    float *d;
    u64 a, b;
    bool a_m, b_n, adds;
    int n;
    const unsigned *registers;
    std::vector<unsigned> held;
    std::vector<unsigned short> seen;
    std::vector<float> sums;
};

struct emu_cta;
struct emu_warp { int arrived = 0, members = 0; unsigned generation = 0; const void *posted[32]; };

struct emu_fiber : emu_thread {
    emu_cta *cta;
    emu_warp *warp;
    int lane;
    bool done, waited;                             // for the kernel before
    void *sp;
    std::vector<unsigned char> stack;
    std::vector<std::vector<emu_copy>> groups;     // committed
    std::vector<emu_copy> open;
    std::vector<unsigned> written;                 // 16-byte places of shared memory, since its last proxy fence
    std::vector<std::vector<emu_product>> products;        // committed
    std::vector<emu_product> products_open;
    std::map<float *, std::vector<float>> results; // of registers that products are under way to; the registers hold NaNs meanwhile
    bool registers_fenced;
};

// A barrier of the copy engine: arrivals of a phase, those still to come, bytes announced and not yet copied, phases that are over.
struct emu_gate { unsigned arrivals, missing; int64_t bytes; unsigned phase; };

// A copy on its way to every block of `blocks`: its box, 16 bytes after 16 as they lie in shared memory, and what arrives there (NULL: zeros).
struct emu_parcel { unsigned barrier, blocks; std::vector<unsigned> places; std::vector<const unsigned char *> from; };

struct emu_cluster {
    int arrived = 0, members = 0;
    unsigned generation = 0;
    std::vector<emu_cta *> ctas;
    std::vector<emu_parcel> parcels;
};

struct emu_cta {
    std::vector<unsigned char> smem;
    std::vector<int> reading;                      // of every 16 bytes: elements that products under way still read
    std::vector<unsigned short> unfenced;          // of every 16 bytes: 1 + the thread whose write wgmma does not see yet
    std::vector<unsigned char> flying;             // of every 16 bytes: a copy is on its way to them
    std::map<unsigned, emu_gate> gates;            // by address
    int running = 0;                               // threads that have not ended
    int arrived = 0, members = 0;
    unsigned generation = 0;
    std::vector<emu_warp> warps;
    emu_cluster *cluster;
};

emu_thread *emu_here;
uint3 emu_grid, emu_block;
static emu_fiber *emu_now;                         // the same
static void *emu_scheduler_sp;
static const void *emu_args;
static bool emu_follows;
struct emu_range { const unsigned char *at; size_t size; bool is_constant; };
static std::vector<emu_range> emu_ranges;
static size_t emu_early;                           // reads of constants before the wait

extern "C" void emu_switch(void **save, void *load);
asm(".text\n.type emu_switch,@function\nemu_switch:\n"
    "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "mov %rsp,(%rdi)\nmov %rsi,%rsp\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n");

static void emu_yield() { emu_switch(&emu_now->sp, emu_scheduler_sp); }
static bool emu_moved;                             // some thread did something that another one may have waited for

[[noreturn]] static void emu_stop(const char *what)
{
    fprintf(stderr, "emulated kernel: %s (block %u %u %u, thread %u)\n", what, blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x);
    abort();
}

template <typename B> static void emu_barrier(B &b)
{
    unsigned generation = b.generation;
    emu_moved = true;
    if (++b.arrived == b.members) {
        b.arrived = 0;
        b.generation++;
    } else {
        while (b.generation == generation) emu_yield();
    }
}

void __syncthreads() { emu_barrier(*emu_now->cta); }
void hone_sync_warp() { emu_barrier(*emu_now->warp); }
void hone_cluster_sync() { emu_barrier(*emu_now->cta->cluster); }

// Every lane shows the others something; look(posted) runs while all of it stands.
template <typename F> static void emu_exchange(const void *mine, F look)
{
    emu_warp *warp = emu_now->warp;
    warp->posted[emu_now->lane] = mine;
    emu_barrier(*warp);
    look(warp->posted);
    emu_barrier(*warp);
}

// ---- memory

static const emu_range &emu_operand(const void *from, int size)
{
    const unsigned char *at = (const unsigned char *)from;
    auto range = std::find_if(emu_ranges.begin(), emu_ranges.end(), [&](const emu_range &r) { return at >= r.at && at + size <= r.at + r.size; });
    if (range == emu_ranges.end()) emu_stop("a load outside the operands");
    return *range;
}

static void emu_check(const void *from, int size)
{
    const bool is_constant = emu_operand(from, size).is_constant;
    if ((uintptr_t)from % size) emu_stop("a misaligned load");
    if (!emu_now->waited && !is_constant) emu_stop("a load before hone_follow of what is no constant");
    emu_early += !emu_now->waited;
}

void hone_bring_near(const void *from) { emu_operand(from, 1); }

template <typename X> static X emu_load(const void *from)
{
    X x;
    emu_check(from, sizeof x);
    memcpy(&x, from, sizeof x);
    return x;
}
uint4 hone_ldg16(const void *from) { return emu_load<uint4>(from); }
uint2 hone_ldg8(const void *from) { return emu_load<uint2>(from); }
unsigned hone_ldg4(const void *from) { return emu_load<unsigned>(from); }
unsigned short hone_ldg2(const void *from) { return emu_load<unsigned short>(from); }
unsigned char hone_ldg1(const void *from) { return emu_load<unsigned char>(from); }
uint4 hone_ldg16_or_zeros(const void *from, bool wanted) { return wanted ? emu_load<uint4>(from) : uint4{}; }
uint4 hone_stream16(const void *from, bool wanted) { return hone_ldg16_or_zeros(from, wanted); }
uint2 hone_stream8(const void *from, bool wanted) { return wanted ? emu_load<uint2>(from) : uint2{}; }
unsigned hone_stream4(const void *from, bool wanted) { return wanted ? emu_load<unsigned>(from) : 0; }

static unsigned char *emu_shared(unsigned address, int size)
{
    if (address % size) emu_stop("a misaligned access to shared memory");
    if (address + size > emu_now->cta->smem.size()) emu_stop("an access outside the shared memory");
    if (emu_now->cta->flying[address / 16]) emu_stop("an access to shared memory that a copy is on its way to");
    return hone_smem + address;
}

unsigned hone_shared_address(const void *pointer)
{
    int64_t at = (const unsigned char *)pointer - hone_smem;
    if (at < 0 || (size_t)at > emu_now->cta->smem.size()) emu_stop("an address that is not of the dynamic shared memory");
    return (unsigned)at;
}

static void emu_check_write(unsigned address)
{
    if (emu_now->cta->reading[address / 16]) emu_stop("a write to a tile that wgmma may still read");
}

static void emu_wrote(unsigned address)
{
    emu_check_write(address);
    unsigned short id = (unsigned short)(threadIdx.x + 1), &owner = emu_now->cta->unfenced[address / 16];
    if (owner != id) emu_now->written.push_back(address / 16);
    owner = id;
}

void hone_fence_async()
{
    for (unsigned place : emu_now->written)
        if (emu_now->cta->unfenced[place] == threadIdx.x + 1) emu_now->cta->unfenced[place] = 0;
    emu_now->written.clear();
}

static void emu_async(unsigned to, const void *from, int size, bool wanted)
{
    emu_shared(to, size);
    emu_check_write(to);
    if (wanted) emu_check(from, size);
    emu_now->open.push_back({to, (const unsigned char *)from, size, wanted});
}
void hone_async16(unsigned to, const void *from, bool wanted) { emu_async(to, from, 16, wanted); }
void hone_async8(unsigned to, const void *from, bool wanted) { emu_async(to, from, 8, wanted); }
void hone_async4(unsigned to, const void *from, bool wanted) { emu_async(to, from, 4, wanted); }
void hone_async_commit()
{
    emu_now->groups.push_back(std::move(emu_now->open));
    emu_now->open.clear();
}
void emu_async_wait(int left)
{
    while ((int)emu_now->groups.size() > left) {
        for (const emu_copy &c : emu_now->groups.front()) {
            if (c.wanted) memcpy(hone_smem + c.to, c.from, c.size);
            else memset(hone_smem + c.to, 0, c.size);
            emu_wrote(c.to);
        }
        emu_now->groups.erase(emu_now->groups.begin());
    }
}

void hone_ldmatrix4(unsigned (&r)[4], unsigned address)
{
    emu_shared(address, 16);
    emu_exchange(&address, [&](const void **posted) {
        for (int i = 0; i < 4; i++)
            memcpy(&r[i], hone_smem + *(const unsigned *)posted[i * 8 + emu_now->lane / 4] + emu_now->lane % 4 * 4, 4);
    });
}

void hone_ldmatrix4_trans(unsigned (&r)[4], unsigned address)
{
    emu_shared(address, 16);
    emu_exchange(&address, [&](const void **posted) {
        for (int i = 0; i < 4; i++)
            for (int h = 0; h < 2; h++)
                memcpy((char *)&r[i] + 2 * h, hone_smem + *(const unsigned *)posted[i * 8 + emu_now->lane % 4 * 2 + h] + emu_now->lane / 4 * 2, 2);
    });
}

unsigned hone_lds4(unsigned address) { unsigned v; memcpy(&v, emu_shared(address, 4), 4); return v; }
float4 hone_lds16(unsigned address) { float4 v; memcpy(&v, emu_shared(address, 16), 16); return v; }
void hone_sts16(unsigned address, uint4 v) { memcpy(emu_shared(address, 16), &v, 16); emu_wrote(address); }
void hone_sts8f(unsigned address, float x, float y) { float v[2] = {x, y}; memcpy(emu_shared(address, 8), v, 8); emu_wrote(address); }
float4 hone_cluster_lds16(unsigned address, unsigned rank)
{
    float4 v;
    emu_shared(address, 16);
    memcpy(&v, emu_now->cta->cluster->ctas[rank]->smem.data() + address, 16);
    return v;
}

// ---- kernels run one behind the other here

void hone_wait_for_previous(int) { emu_now->waited = true; }

// ---- tensor cores

struct emu_operands { const unsigned *a; unsigned b[2]; };

// a is 16 x DEPTH, b DEPTH x 8; get(word, k) is one of the values that lie in a 32-bit register.
template <int DEPTH, typename G> static void emu_mma(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, G get)
{
    emu_operands mine = {a, {b0, b1}};
    constexpr int PER = DEPTH / 8;             // values of a register
    float sums[4];
    emu_exchange(&mine, [&](const void **posted) {
        int g = emu_now->lane / 4, t = emu_now->lane % 4;
        for (int i = 0; i < 4; i++) {
            int row = g + (i / 2) * 8, col = t * 2 + i % 2;
            float sum = d[i];
            for (int k = 0; k < DEPTH; k++) {
                int half = k / (DEPTH / 2), lane = k % (DEPTH / 2) / PER, at = k % PER;
                const emu_operands *oa = (const emu_operands *)posted[(row % 8) * 4 + lane], *ob = (const emu_operands *)posted[col * 4 + lane];
                sum += get(oa->a[half * 2 + row / 8], at) * get(ob->b[half], at);
            }
            sums[i] = sum;
        }
    });
    memcpy(d, sums, sizeof sums);
}

void hone_mma_f16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
{
    emu_mma<16>(d, a, b0, b1, [](unsigned w, int k) { return hone_float_of_f16(w >> (16 * k)); });
}
void hone_mma_bf16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
{
    emu_mma<16>(d, a, b0, b1, [](unsigned w, int k) { return hone_float_of_bf16(w >> (16 * k)); });
}
void hone_mma_tf32(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
{
    emu_mma<8>(d, a, b0, b1, [](unsigned w, int) { return __uint_as_float(w & ~0x1fffu); });
}

// ---- products of warpgroups

// Element (row, k) of a tile under 128-byte swizzle; rows are those of M or N. Fields of the descriptor: PTX ISA, "Matrix Descriptor Format".
static unsigned short emu_tile(u64 descriptor, bool across, int row, int k, int begins)
{
    unsigned start = (descriptor & 0x3fff) << 4, leading = (descriptor >> 16 & 0x3fff) << 4, stride = (descriptor >> 32 & 0x3fff) << 4;
    if (descriptor >> 62 != 1) emu_stop("a descriptor of another swizzle than 128 bytes");
    if (descriptor & 0x3f01c000c000c000ull) emu_stop("a descriptor with bits where none belong");
    unsigned at = across ? start + row / 64 * leading + row % 64 * 2 + k / 8 * stride + k % 8 * 128 : start + row / 8 * stride + row % 8 * 128 + k * 2;
    at ^= (at >> 7 & 7) << 4;
    if (emu_now->cta->unfenced[at / 16]) emu_stop("wgmma reads what was written without a proxy fence");
    unsigned short bits;
    memcpy(&bits, emu_shared(at, 2), 2);
    emu_now->cta->reading[at / 16] += begins;
    return bits;
}

// What this thread's results are made of: two rows of 16, then its columns of 16. begins: 1 when the product begins, -1 when it ends.
static std::vector<unsigned short> emu_tiles(const emu_product &p, int begins)
{
    std::vector<unsigned short> seen;
    int row = (int)(threadIdx.x / 32 % 4) * 16 + emu_now->lane / 4, col = emu_now->lane % 4 * 2;
    for (int i = 0; i < 2 && !p.registers; i++)
        for (int k = 0; k < 16; k++) seen.push_back(emu_tile(p.a, p.a_m, row + i * 8, k, begins));
    for (int j = 0; j < p.n / 4; j++)
        for (int k = 0; k < 16; k++) seen.push_back(emu_tile(p.b, p.b_n, j / 2 * 8 + col + j % 2, k, begins));
    return seen;
}

void hone_wgmma_fence() { emu_now->registers_fenced = true; }

// Two rows of 16 out of the registers of the lanes that share them.
static std::vector<unsigned short> emu_rows(const unsigned *registers)
{
    std::vector<unsigned short> rows;
    emu_exchange(registers, [&](const void **posted) {
        for (int i = 0; i < 2; i++)
            for (int k = 0; k < 16; k++) {
                const unsigned *theirs = (const unsigned *)posted[emu_now->lane / 4 * 4 + k % 8 / 2];
                rows.push_back((unsigned short)(theirs[k / 8 * 2 + i] >> (k % 2 * 16)));
            }
    });
    return rows;
}

void emu_wgmma(bool bf16, bool a_m, bool b_n, bool adds, float *d, int count, u64 a, u64 b, const unsigned *registers)
{
    emu_product p = {d, a, b, a_m, b_n, adds, count * 2, registers, {}, {}, {}};
    if (!emu_now->registers_fenced) emu_stop("wgmma without a fence of its registers");
    p.seen = emu_tiles(p, 1);
    std::vector<unsigned short> all;
    if (registers) p.held.assign(registers, registers + 4), all = emu_rows(registers);
    all.insert(all.end(), p.seen.begin(), p.seen.end());
    std::vector<float> x;
    for (unsigned short bits : all) x.push_back(bf16 ? hone_float_of_bf16(bits) : hone_float_of_f16(bits));
    for (int at = 0; at < count; at++) {
        float sum = 0;
        for (int k = 0; k < 16; k++) sum += x[at / 2 % 2 * 16 + k] * x[32 + (at / 4 * 2 + at % 2) * 16 + k];
        p.sums.push_back(sum);
    }
    std::vector<float> &result = emu_now->results[d];
    if (result.empty()) result.assign(d, d + count);
    std::fill(d, d + count, NAN);
    emu_now->products_open.push_back(std::move(p));
}

void hone_wgmma_commit()
{
    emu_now->products.push_back(std::move(emu_now->products_open));
    emu_now->products_open.clear();
}

static void emu_finish(const emu_product &p)
{
    if (emu_tiles(p, -1) != p.seen) emu_stop("a tile was overwritten while wgmma read it");
    if (!std::equal(p.held.begin(), p.held.end(), p.registers)) emu_stop("registers were overwritten while wgmma read them");
    std::vector<float> &result = emu_now->results[p.d];
    if (!p.adds) std::fill(result.begin(), result.end(), 0.0f);
    for (size_t k = 0; k < p.sums.size(); k++) result[k] += p.sums[k];
}

static bool emu_is_awaited(const float *d)
{
    for (const auto &group : emu_now->products)
        for (const emu_product &p : group)
            if (p.d == d) return true;
    return false;
}

void emu_wgmma_wait(int left)
{
    emu_now->registers_fenced = false;
    for (; (int)emu_now->products.size() > left; emu_now->products.erase(emu_now->products.begin()))
        for (const emu_product &p : emu_now->products.front()) emu_finish(p);
    for (auto at = emu_now->results.begin(); at != emu_now->results.end();) {
        if (emu_is_awaited(at->first)) { at++; continue; }
        std::copy(at->second.begin(), at->second.end(), at->first);
        at = emu_now->results.erase(at);
    }
}

// ---- barriers in shared memory

void hone_barrier_init(unsigned barrier, unsigned arrivals)
{
    if (barrier % 8 || barrier + 8 > emu_now->cta->smem.size()) emu_stop("a barrier that does not lie in shared memory");
    if (!emu_now->cta->gates.emplace(barrier, emu_gate{arrivals, arrivals, 0, 0}).second) emu_stop("a barrier is made twice");
}
void hone_barriers_made() { hone_fence_async(); }

static emu_gate &emu_gate_at(emu_cta *cta, unsigned barrier)
{
    auto found = cta->gates.find(barrier);
    if (found == cta->gates.end()) emu_stop("no barrier was made there");
    if (!cta->running) emu_stop("a barrier of a block that has ended");
    return found->second;
}

static void emu_end_phase(emu_gate &gate)
{
    if (gate.missing || gate.bytes) return;
    gate.phase++;
    gate.missing = gate.arrivals;
}

static void emu_arrive(emu_cta *cta, unsigned barrier, unsigned bytes)
{
    emu_gate &gate = emu_gate_at(cta, barrier);
    if (!gate.missing) emu_stop("more arrivals than the barrier was made for");
    gate.missing--;
    gate.bytes += bytes;
    emu_end_phase(gate);
    emu_moved = true;
}

void hone_barrier_arrive(unsigned barrier) { emu_arrive(emu_now->cta, barrier, 0); }
void hone_barrier_arrive_at(unsigned barrier, unsigned rank) { emu_arrive(emu_now->cta->cluster->ctas.at(rank), barrier, 0); }
void hone_barrier_expect(unsigned barrier, unsigned bytes) { emu_arrive(emu_now->cta, barrier, bytes); }

void hone_barrier_wait(unsigned barrier, unsigned parity)
{
    if (parity > 1) emu_stop("a parity that is neither 0 nor 1");
    const emu_gate &gate = emu_gate_at(emu_now->cta, barrier);
    while (gate.phase % 2 == parity) emu_yield();
    emu_moved = true;
}

// ---- the copy engine

hone_maps maps;

// Row `row` of the box lies behind the one before; its 16-byte chunks are shuffled by the address bits 7 to 9. at: the row's first element, by axes.
static void emu_add_row(emu_parcel &parcel, const hone_tensor_map &map, unsigned to, int row, const int64_t *at)
{
    const int per_chunk = 16 / map.element_bytes, chunks = map.box[0] / per_chunk;
    int64_t offset = 0;
    bool inside = true;
    for (int k = 1; k < map.rank; k++) {
        inside = inside && at[k] >= 0 && at[k] < map.dims[k];
        offset += at[k] * map.strides[k];
    }
    for (int c = 0; c < chunks; c++) {
        const int64_t x = at[0] + c * per_chunk;
        const unsigned char *from = (const unsigned char *)map.base + (offset + x) * map.element_bytes;
        unsigned place = to + row * chunks * 16 + c * 16;
        if (chunks == 8) place ^= (place >> 7 & 7) << 4;
        const bool wanted = inside && x >= 0 && x < map.dims[0];
        if (wanted && x + per_chunk > map.dims[0]) emu_stop("a tensor map that ends within 16 bytes is not emulated");
        if (wanted) emu_check(from, 16);
        parcel.places.push_back(place);
        parcel.from.push_back(wanted ? from : nullptr);
    }
}

static void emu_send(emu_parcel &&parcel)
{
    emu_cluster *cluster = emu_now->cta->cluster;
    for (size_t rank = 0; rank < cluster->ctas.size(); rank++) {
        emu_cta *cta = cluster->ctas[rank];
        if (!(parcel.blocks >> rank & 1)) continue;
        emu_gate_at(cta, parcel.barrier);
        for (unsigned place : parcel.places) {
            if (place + 16 > cta->smem.size()) emu_stop("a copy to outside the shared memory");
            if (cta->reading[place / 16]) emu_stop("a copy to a tile that wgmma may still read");
            if (cta->unfenced[place / 16]) emu_stop("a copy to what was written without a proxy fence");
            if (cta->flying[place / 16]++) emu_stop("two copies to one place");
        }
    }
    if (parcel.blocks >> cluster->ctas.size()) emu_stop("a copy to a block that is not of the cluster");
    cluster->parcels.push_back(std::move(parcel));
    emu_moved = true;
}

static unsigned emu_own_block()
{
    const auto &ctas = emu_now->cta->cluster->ctas;
    return 1u << (std::find(ctas.begin(), ctas.end(), emu_now->cta) - ctas.begin());
}

static void emu_add_rows(emu_parcel &parcel, const hone_tensor_map &m, unsigned to, const int64_t *first)
{
    int64_t rows = 1;
    for (int k = 1; k < m.rank; k++) rows *= m.box[k];
    for (int64_t row = 0; row < rows; row++) {
        int64_t at[5] = {first[0]}, rest = row;
        for (int k = 1; k < m.rank; k++) at[k] = first[k] + rest % m.box[k], rest /= m.box[k];
        emu_add_row(parcel, m, to, (int)row, at);
    }
}

void emu_copy_box(bool many, unsigned to, const hone_map &map, unsigned barrier, unsigned short blocks, const int64_t *first, int rank)
{
    const hone_tensor_map &m = map.of;
    if (m.is_image || rank != m.rank) emu_stop("a copy of another kind than its map");
    if (to % 128) emu_stop("a copy to a misaligned place");
    emu_parcel parcel = {barrier, many ? blocks : emu_own_block(), {}, {}};
    emu_add_rows(parcel, m, to, first);
    emu_send(std::move(parcel));
}

// Only what it reads can be seen here.
void emu_copy_nearer(const hone_map &map, const int64_t *first, int rank)
{
    const hone_tensor_map &m = map.of;
    emu_parcel parcel = {0, 0, {}, {}};
    if (m.is_image || rank != m.rank) emu_stop("a copy of another kind than its map");
    emu_add_rows(parcel, m, 0, first);
}

// PTX ISA, "Im2col mode": pixels follow each other along W, then H, then the images, within the bounding box, in the steps of the map.
void emu_copy_pixels(bool many, unsigned to, const hone_map &map, unsigned barrier, unsigned short blocks, int c, int w, int h, int n,
                     unsigned short right, unsigned short down)
{
    const hone_tensor_map &m = map.of;
    if (!m.is_image || m.rank != 4) emu_stop("a copy of another kind than its map");
    if (to % 128 || right > 255 || down > 255) emu_stop("a copy of pixels that the hardware does not know");
    emu_parcel parcel = {barrier, many ? blocks : emu_own_block(), {}, {}};
    for (int row = 0; row < m.box[1]; row++) {
        const int64_t at[] = {c, w + right, h + down, n};
        emu_add_row(parcel, m, to, row, at);
        if ((w += m.steps[1]) <= m.dims[1] - 1 + m.upper[0]) continue;
        w = m.lower[0];
        if ((h += m.steps[2]) <= m.dims[2] - 1 + m.upper[1]) continue;
        h = m.lower[1];
        n++;
    }
    emu_send(std::move(parcel));
}

static void emu_land(emu_cluster &cluster, size_t which)
{
    emu_parcel parcel = std::move(cluster.parcels[which]);
    cluster.parcels.erase(cluster.parcels.begin() + which);
    for (size_t rank = 0; rank < cluster.ctas.size(); rank++) {
        emu_cta *cta = cluster.ctas[rank];
        if (!(parcel.blocks >> rank & 1)) continue;
        for (size_t k = 0; k < parcel.places.size(); k++) {
            unsigned char *at = cta->smem.data() + parcel.places[k];
            if (parcel.from[k]) memcpy(at, parcel.from[k], 16);
            else memset(at, 0, 16);
            cta->flying[parcel.places[k] / 16] = 0;
        }
        emu_gate &gate = emu_gate_at(cta, parcel.barrier);
        gate.bytes -= (int64_t)parcel.places.size() * 16;
        emu_end_phase(gate);
    }
}

float hone_shuffle_xor(float value, int mask)
{
    float other;
    emu_exchange(&value, [&](const void **posted) { other = *(const float *)posted[emu_now->lane ^ mask]; });
    return other;
}

unsigned hone_shuffle(unsigned value, int lane)
{
    unsigned other;
    emu_exchange(&value, [&](const void **posted) { other = *(const unsigned *)posted[lane]; });
    return other;
}

// ---- launch

static void emu_main()
{
    hone_kernel(*(const hone_args *)emu_args);
    emu_now->done = true;
    emu_yield();
    abort();
}

static void emu_start(emu_fiber &f)
{
    if (f.stack.empty()) f.stack.resize(128 * 1024);
    uintptr_t top = (uintptr_t)(f.stack.data() + f.stack.size()) & ~(uintptr_t)15;
    void **sp = (void **)top;
    *--sp = nullptr;                   // keeps the stack aligned as after a call
    *--sp = (void *)emu_main;
    for (int k = 0; k < 6; k++) *--sp = nullptr;
    f.sp = sp;
    f.done = false;
    f.waited = !emu_follows;
    f.groups.clear();
    f.open.clear();
    f.written.clear();
    f.products.clear();
    f.products_open.clear();
    f.results.clear();
    f.registers_fenced = false;
}

static unsigned emu_chance()
{
    static unsigned state = 1;
    return (state = state * 1664525u + 1013904223u) >> 16;
}

// One copy lands: any, when there is no other way to go on, otherwise by chance.
static void emu_deliver(emu_cluster &cluster)
{
    const size_t n = cluster.parcels.size();
    if (!n && !emu_moved) emu_stop("all threads wait for each other");
    if (n && (!emu_moved || emu_chance() % 8 == 0)) emu_land(cluster, emu_chance() % n);
}

// With copies about, warps fall behind by chance too.
static void emu_run_cluster(std::vector<emu_fiber> &fibers, emu_cluster &cluster)
{
    for (size_t left = fibers.size(); left;) {
        const bool has_gates = !cluster.ctas[0]->gates.empty();
        const emu_warp *skipped = nullptr;
        emu_moved = false;
        for (emu_fiber &f : fibers) {
            if (f.lane == 0) skipped = has_gates && emu_chance() % 4 == 0 ? f.warp : nullptr;
            if (f.warp == skipped) emu_moved = true;
            if (f.done || f.warp == skipped) continue;
            emu_here = emu_now = &f;
            emu_switch(&emu_scheduler_sp, f.sp);
            if (!f.done) continue;
            left--;
            f.cta->running--;
            emu_moved = true;
        }
        emu_deliver(cluster);
    }
    if (!cluster.parcels.empty()) emu_stop("the kernel ended before its copies");
}

// How many reads came before the wait for the kernel ahead: of operands whose bit is set in `constants`.
extern "C" [[gnu::visibility("default")]] size_t emu_launch(const void *args, const unsigned *grid, const unsigned *block, unsigned cluster_z, unsigned shared_bytes,
                           bool follows, unsigned constants, const void *const *operands, const size_t *sizes, int n_operands,
                           const hone_tensor_map *tensor_maps, int n_maps)
{
    std::vector<emu_fiber> fibers;
    unsigned span = cluster_z ? cluster_z : 1, threads = block[0];
    emu_args = args;
    emu_follows = follows;
    emu_grid = {grid[0], grid[1], grid[2]};
    emu_block = {block[0], 1, 1};
    emu_ranges.clear();
    emu_early = 0;
    for (int k = 0; k < n_maps; k++) (k ? maps.b : maps.a).of = tensor_maps[k];
    for (int k = 0; k < n_operands; k++) emu_ranges.push_back({(const unsigned char *)operands[k], sizes[k], (constants >> k & 1) != 0});
    fibers.resize((size_t)span * threads);
    for (unsigned z = 0; z < grid[2]; z += span)
        for (unsigned y = 0; y < grid[1]; y++)
            for (unsigned x = 0; x < grid[0]; x++) {
                emu_cluster cluster;
                std::vector<emu_cta> ctas(span);
                cluster.members = (int)(span * threads);
                for (unsigned c = 0; c < span; c++) {
                    emu_cta &cta = ctas[c];
                    cta.smem.assign(shared_bytes, 0xff);
                    cta.reading.assign(shared_bytes / 16 + 1, 0);
                    cta.unfenced.assign(shared_bytes / 16 + 1, 0);
                    cta.flying.assign(shared_bytes / 16 + 1, 0);
                    cta.running = (int)threads;
                    cta.members = (int)threads;
                    cta.warps.resize((threads + 31) / 32);
                    cta.cluster = &cluster;
                    cluster.ctas.push_back(&cta);
                    for (unsigned t = 0; t < threads; t++) {
                        emu_fiber &f = fibers[c * threads + t];
                        f.thread = {t, 0, 0};
                        f.block = {x, y, z + c};
                        f.smem = cta.smem.data();
                        f.cta = &cta;
                        f.warp = &cta.warps[t / 32];
                        f.warp->members = (int)(threads - t / 32 * 32 < 32 ? threads - t / 32 * 32 : 32);
                        f.lane = (int)(t % 32);
                        emu_start(f);
                    }
                }
                emu_run_cluster(fibers, cluster);
            }
    return emu_early;
}
