// What torch leaves apart, fused for the CPU, with a plain C interface. Optional: without it torch does the same.
//
// Recurrent layers; dropout; activations with bias and dropout; softmax cross-entropy with its gradient and the
// number of right answers; Adam; and programs, which run whole training steps of dense networks, and whole epochs of
// many at once.
//
// The file includes itself once per instruction set; what lies between BODY
// and its end is compiled for vectors of 4, 8 and 16 floats, and `choose`
// takes at run time what the processor has. Vectors are those of GCC and
// Clang, so the same lines serve x86 and ARM.
//
// Matrices are row by row in memory. Sizes may be anything from zero up.
// Nothing here is compiled with -ffast-math: NaN and infinity stay what they are.

#ifndef UNCRUMPLE_BODY

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#ifdef _OPENMP
#include <omp.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(_WIN32)
#define EXPORT extern "C" __declspec(dllexport)
#else
#define EXPORT extern "C" __attribute__((visibility("default")))
#endif

namespace {

typedef int64_t Size;

// Memory of one thread that is kept from call to call, so that the system does not hand out fresh pages each time.
struct Scratch {
    void* memory = nullptr;
    Size bytes = 0;
    ~Scratch() { std::free(memory); }
    float* floats(Size count) {
        Size wanted = (count * Size(sizeof(float)) + 63) / 64 * 64;
        if (wanted > bytes) {
            std::free(memory);
            memory = nullptr;
            bytes = 0;
            if (posix_memalign(&memory, 64, size_t(wanted))) return memory = nullptr, nullptr;
            bytes = wanted;
        }
        return static_cast<float*>(memory);
    }
};

inline Size smaller(Size a, Size b) { return a < b ? a : b; }

// The rows that a thread works on.
struct Share {
    int thread;
    Size first, last;
    Share(Size rows, int threads, int which)
        : thread(which), first(rows * which / threads), last(rows * (which + 1) / threads) {}
};

// Multiplies matrices that lie column by column, as BLAS does: torch's own, if Python found it.
typedef void (*Gemm)(const char*, const char*, const int*, const int*, const int*, const float*, const float*,
                     const int*, const float*, const int*, const float*, float*, const int*);
Gemm torch_gemm = nullptr;

// bfloat16: the upper half of a float. Kernels read and write it; inside they compute with floats.
struct Half {
    uint16_t bits;
};

enum Activation { LINEAR, RELU, TANH, SIGMOID };

// What a program is made of; the Python side has the same list.
enum Code {
    MULTIPLY,
    ACTIVATE,
    ACTIVATE_BACKWARD,
    SOFTMAX,
    CROSSENTROPY,
    ADAM,
    PRODUCT,
    ACTIVATE_HALF,
    ACTIVATE_BACKWARD_HALF,
    ROUND,
    NARROW,
    WIDEN
};
enum Flag { TRANSPOSE_A = 1, TRANSPOSE_B = 2, WIDE_A = 4, WIDE_B = 8, FROM_LOGITS = 1 };

struct Operation {
    int64_t code, flags;
    int64_t sizes[4];
    void* memory[5];
    double scale;
};

enum Failure { NO_MEMORY = 1, LABEL_OUT_OF_RANGE = 2, NO_SUCH_OPERATION = 3 };

// torch's generator of random numbers on the CPU, MT19937 (Matsumoto and Nishimura, "Mersenne twister", 1998), with
// torch's way to read it. Python copies its state in and out.
struct Twister {
    enum { WORDS = 624, AHEAD = 397 };
    uint32_t words[WORDS];
    int32_t left;  // numbers until the words are renewed, counted as torch counts them
    uint32_t next;

    uint32_t twisted(uint32_t upper, uint32_t lower) const {
        uint32_t y = (upper & 0x80000000u) | (lower & 0x7fffffffu);
        return (y >> 1) ^ (y & 1 ? 0x9908b0dfu : 0u);
    }
    void renew() {
        for (int n = 0; n < WORDS - AHEAD; n++) words[n] = words[n + AHEAD] ^ twisted(words[n], words[n + 1]);
        for (int n = WORDS - AHEAD; n < WORDS - 1; n++)
            words[n] = words[n + AHEAD - WORDS] ^ twisted(words[n], words[n + 1]);
        words[WORDS - 1] = words[AHEAD - 1] ^ twisted(words[WORDS - 1], words[0]);
        left = WORDS;
        next = 0;
    }
    uint32_t draw() {
        if (--left == 0) renew();
        uint32_t y = words[next++];
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c5680u;
        y ^= (y << 15) & 0xefc60000u;
        return y ^ (y >> 18);
    }
    // What `random_()` puts into an int64.
    int64_t seed() {
        uint64_t high = draw();
        return int64_t((high << 32 | draw()) & 0x7fffffffffffffffu);
    }
    // What `randperm` returns.
    void shuffle(int64_t count, int64_t* order) {
        for (int64_t n = 0; n < count; n++) order[n] = n;
        for (int64_t n = 0; n < count - 1; n++) {
            int64_t other = n + draw() % uint32_t(count - n), kept = order[n];
            order[n] = order[other];
            order[other] = kept;
        }
    }
};

// A dropout in a network of many: where its seeds come from, and which operations they belong to, in the program for
// whole batches and in that for the last one.
struct Dropped {
    Twister* random;
    int64_t operations[2][2];
};

// Samples and the programs that work on batches of them.
struct Fed {
    int64_t samples, batch, features;
    const float* x;
    const int64_t* y;
    const int64_t* rows;  // which rows of x and y the samples are; null: all in their order
    float* x_batch;       // where the programs read a batch
    int64_t* y_batch;
    Operation* programs[2];  // for whole batches, and for the last, smaller one
    int64_t lengths[2];
    float* totals;  // two numbers that the programs add to: loss and right answers
};

// One of many networks that are trained at once, for some epochs. The Python side has the same fields.
struct Training {
    int64_t first, last;  // the steps to do now, counted over all these epochs
    int64_t done;         // updates made before these epochs
    Fed learned, held;    // what it learns from, and what it is tried on after each epoch
    int64_t* order;        // null: no shuffling
    Twister* random;       // null: the order is there already, and so are the seeds
    const int64_t* seeds;  // of each step's dropouts
    const Dropped* dropouts;
    int64_t dropout_count;
    double* settings;           // those of Adam in the programs: rate first, keep fifth
    const double* corrections;  // of Adam: two per number of the update
    double rate, decay;
    const double* rates;  // one per step of these epochs; null: `rate` for all
    float* log;  // null, or four per epoch: the totals of what it learned from, and of what it is tried on
    int64_t failed;
};

struct AdamSettings {
    double rate, beta_1, beta_2, epsilon, keep;
};

// What Adam works on: a weight, its gradient, and the running means of that and of its square.
struct AdamWeight {
    float* w;
    const float* g;
    float *m, *v;
};

// Spreads a seed over 64 bits (Steele et al., "Fast splittable pseudorandom number generators", 2014), so that seeds
// side by side give numbers that have nothing to do with each other.
inline Size mixed(Size seed) {
    uint64_t z = uint64_t(seed) + 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return Size(z ^ (z >> 31));
}

// While it lives, this thread takes numbers below 1e-38 for zero. Running means of gradients that have become zero
// shrink to there, stay, and each operation on them takes a hundred times its time.
struct TinyIsZero {
#if defined(__x86_64__)
    unsigned kept = _mm_getcsr();
    TinyIsZero() { _mm_setcsr(kept | 0x8040); }
    ~TinyIsZero() { _mm_setcsr(kept); }
#elif defined(__aarch64__) && defined(__GNUC__)
    uint64_t kept;
    TinyIsZero() {
        asm volatile("mrs %0, fpcr" : "=r"(kept));
        asm volatile("msr fpcr, %0" ::"r"(kept | 1u << 24));
    }
    ~TinyIsZero() { asm volatile("msr fpcr, %0" ::"r"(kept)); }
#endif
};

// Whether the processor multiplies tiles of bfloat16, and may.
bool has_tiles();

// Multiplies matrices that are bfloat16, or floats (WIDE_A, WIDE_B) to be rounded to it, in such tiles. memory: A, B, the
// result in floats, and, for a step of Adam with this gradient, AdamWeight and AdamSettings.
int product_of_halves(int threads, const Operation& one);

inline int this_thread() {
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

inline int team_size() {
#ifdef _OPENMP
    return omp_get_num_threads();
#else
    return 1;
#endif
}

}  // namespace

#define UNCRUMPLE_BODY

#if defined(__x86_64__)
#define LANES 16
#define ROWS 8
#define SET avx512
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,fma,prefer-vector-width=512")
#include "kernels.cpp"
#pragma GCC pop_options
#undef LANES
#undef ROWS
#undef SET

#define LANES 8
#define ROWS 4
#define SET avx2
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#include "kernels.cpp"
#pragma GCC pop_options
#undef LANES
#undef ROWS
#undef SET
#endif

#define LANES 4
#define ROWS 4
#define SET plain
#include "kernels.cpp"
#undef LANES
#undef ROWS
#undef SET

// --- LSTM in bfloat16, for processors that multiply tiles of it (AMX) --------------------------

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 11
#define HAS_TILES

#include <sys/syscall.h>
#include <unistd.h>

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,fma,prefer-vector-width=512,avx512bf16,amx-tile,amx-bf16")

namespace {
namespace tiles {

using avx512::get;
using avx512::load;
using avx512::store;
typedef avx512::V V;

enum { SIDE = 16, DEEP = 32 };  // a tile of a product is 16 x 16, of 32 pairs each

inline void put(float* p, V v, Size left) { avx512::put(p, v, left); }

// The processor rounds, as torch's own products do: what is below 1e-38 becomes zero.
inline void put(Half* p, V v, Size left) {
    __mmask16 mask = left >= SIDE ? __mmask16(~0) : __mmask16((1u << left) - 1);
    _mm256_mask_storeu_epi16(p, mask, (__m256i)_mm512_cvtneps_pbh((__m512)v));
}

inline void put_and_add(Half* p, float* sum, V v, Size left) {
    put(p, v, left);
    put(sum, get(sum, left) + v, left);
}

// The next three are right to 4 digits, one more than bfloat16 holds; NaN stays NaN.

// 2^n times 2^r, with |r| up to a half; infinity from 128 on, zero below -150.
inline V exponential(V x) {
    __m512 power = (__m512)(x * 1.44269504f), whole = _mm512_roundscale_ps(power, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    V r = (V)power - (V)whole;
    V p = r * 9.618129e-3f + 5.550411e-2f;
    p = p * r + 2.402265e-1f;
    p = p * r + 6.931472e-1f;
    return (V)_mm512_scalef_ps((__m512)(p * r + 1.0f), whole);
}

inline V sigmoid(V x) { return (V)_mm512_rcp14_ps((__m512)(exponential(-x) + 1.0f)); }

// Near zero a polynomial, as for floats.
inline V tanh(V x) {
    V square = x * x;
    V p = square * -5.70498872745e-3f + 2.06390887954e-2f;
    p = p * square - 5.37397155531e-2f;
    p = p * square + 1.33314422036e-1f;
    p = p * square - 3.33332819422e-1f;
    V near = x + x * square * p;
    V far = 1.0f - 2.0f * (V)_mm512_rcp14_ps((__m512)(exponential(x + x) + 1.0f));
    return square < 0.390625f ? near : far;
}

// The system gives the large registers to a process only when it asks for them.
bool allowed() {
    static const bool granted = __builtin_cpu_supports("amx-bf16") && __builtin_cpu_supports("amx-tile") &&
                                __builtin_cpu_supports("avx512bf16") && !syscall(SYS_arch_prctl, 0x1023, 18);
    return granted;
}

struct Registers {
    Registers() {
        alignas(64) uint8_t shape[64] = {};
        shape[0] = 1;
        for (int n = 0; n < 8; n++) {
            shape[16 + 2 * n] = 64;  // bytes per row
            shape[48 + n] = SIDE;
        }
        _tile_loadconfig(shape);
    }
    ~Registers() { _tile_release(); }
};

// Lays a matrix (inner x columns, both multiples of what tiles need) out in tiles of 16 rows of 16 pairs.
// Element (k, n) is from[k * by_row + n * by_column].
void pack(const Half* from, Size by_row, Size by_column, Size inner, Size columns, Half* to) {
    for (Size n0 = 0; n0 < columns; n0 += SIDE)
        for (Size k0 = 0; k0 < inner; k0 += DEEP)
            for (Size pair = 0; pair < DEEP / 2; pair++)
                for (Size n = 0; n < SIDE; n++)
                    for (Size odd = 0; odd < 2; odd++)
                        *to++ = from[(k0 + 2 * pair + odd) * by_row + (n0 + n) * by_column];
}

// C (16 x columns) = A (16 x inner) times a packed matrix; columns are a multiple of 32.
inline void multiply(const Half* a, Size inner, const Half* packed, Size columns, float* c) {
    Size depth = inner / DEEP;
    const Half* tile = packed;
    for (Size n = 0; n < columns; n += 2 * SIDE) {
        _tile_zero(0);
        _tile_zero(1);
        const Half* other = tile + depth * SIDE * DEEP;
        for (Size k = 0; k < depth; k++) {
            _tile_loadd(2, a + k * DEEP, inner * 2);
            _tile_loadd(3, tile + k * SIDE * DEEP, 64);
            _tile_loadd(4, other + k * SIDE * DEEP, 64);
            _tile_dpbf16ps(0, 2, 3);
            _tile_dpbf16ps(1, 2, 4);
        }
        _tile_stored(0, c + n, columns * 4);
        _tile_stored(1, c + n + SIDE, columns * 4);
        tile = other + depth * SIDE * DEEP;
    }
}

// --- products of matrices of any size and of either type -----------------------------------------

// A matrix: element (row, column) is memory[row * stride + column], or, if it is turned, memory[column * stride + row].
struct Operand {
    const void* memory;
    Size stride;
    bool turned, wide;  // wide: floats, to be rounded; otherwise bfloat16
};

typedef __m512i Words[SIDE];  // 16 rows of 16 pairs of bfloat16

inline __mmask32 first_of_32(Size count) { return count >= 32 ? ~__mmask32(0) : __mmask32((1u << count) - 1); }
inline __mmask16 first_of_16(Size count) { return count >= 16 ? __mmask16(~0) : __mmask16((1u << count) - 1); }

inline __m512i along(const Half* from, Size left) { return _mm512_maskz_loadu_epi16(first_of_32(left), from); }
inline __m512i along(const float* from, Size left) {
    __m512 low = _mm512_maskz_loadu_ps(first_of_16(left), from);
    __m512 high = left > SIDE ? _mm512_maskz_loadu_ps(first_of_16(left - SIDE), from + SIDE) : _mm512_setzero_ps();
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

// 16 numbers of a row, and the 16 below them.
inline __m512i both(const Half* upper, const Half* lower, Size left) {
    __mmask16 mask = first_of_16(left);
    __m512i pair = _mm512_castsi256_si512(_mm256_maskz_loadu_epi16(mask, upper));
    return lower ? _mm512_inserti64x4(pair, _mm256_maskz_loadu_epi16(mask, lower), 1)
                 : _mm512_inserti64x4(pair, _mm256_setzero_si256(), 1);
}
inline __m512i both(const float* upper, const float* lower, Size left) {
    __mmask16 mask = first_of_16(left);
    __m512 second = lower ? _mm512_maskz_loadu_ps(mask, lower) : _mm512_setzero_ps();
    return (__m512i)_mm512_cvtne2ps_pbh(second, _mm512_maskz_loadu_ps(mask, upper));
}

// Row n of the words is 32 numbers of row n.
template <typename Number>
__attribute__((always_inline)) inline void read_along(const Number* from, Size stride, Size rows, Size columns, Words to) {
    for (Size n = 0; n < SIDE; n++) to[n] = n < rows ? along(from + n * stride, columns) : _mm512_setzero_si512();
}

// Row n of the words is 16 pairs, of the numbers of rows 2n and 2n + 1.
template <typename Number>
__attribute__((always_inline)) inline void read_across(const Number* from, Size stride, Size rows, Size columns, Words to) {
    alignas(64) static const uint16_t zipped[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                    8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    __m512i order = _mm512_load_si512(zipped);
    for (Size n = 0; n < SIDE; n++) {
        const Number* upper = from + 2 * n * stride;
        to[n] = 2 * n >= rows ? _mm512_setzero_si512()
                              : _mm512_permutexvar_epi16(
                                    order, both(upper, 2 * n + 1 < rows ? upper + stride : nullptr, columns));
    }
}

// Exchanges rows and columns of the 16 x 16 words.
inline void turn(Words t) {
    Words u;
    for (int n = 0; n < SIDE; n += 2) {
        u[n] = _mm512_unpacklo_epi32(t[n], t[n + 1]);
        u[n + 1] = _mm512_unpackhi_epi32(t[n], t[n + 1]);
    }
    for (int n = 0; n < SIDE; n += 4)
        for (int k = 0; k < 2; k++) {
            t[n + 2 * k] = _mm512_unpacklo_epi64(u[n + k], u[n + k + 2]);
            t[n + 2 * k + 1] = _mm512_unpackhi_epi64(u[n + k], u[n + k + 2]);
        }
    for (int n = 0; n < 4; n++) {
        u[n] = _mm512_shuffle_i32x4(t[n], t[n + 4], 0x88);
        u[n + 4] = _mm512_shuffle_i32x4(t[n], t[n + 4], 0xdd);
        u[n + 8] = _mm512_shuffle_i32x4(t[n + 8], t[n + 12], 0x88);
        u[n + 12] = _mm512_shuffle_i32x4(t[n + 8], t[n + 12], 0xdd);
    }
    for (int n = 0; n < 8; n++) {
        int at = n % 4 + (n / 4) * 4;
        t[n] = _mm512_shuffle_i32x4(u[at], u[at + 8], 0x88);
        t[n + 8] = _mm512_shuffle_i32x4(u[at], u[at + 8], 0xdd);
    }
}

// Copies a tile of `from`, beginning at (line, k): 16 lines of 32 numbers each. `left` says whether the matrix stands on
// the left of the product, where its lines are rows; on the right they are columns, and a tile has pairs of numbers
// below each other.
template <typename Number>
void lay_out(const Operand& from, bool left, Size line, Size lines, Size k, Size inner, Half* to) {
    const Number* memory = static_cast<const Number*>(from.memory);
    Words words;
    Size count = line < lines ? smaller(lines - line, SIDE) : 0, deep = smaller(inner - k, DEEP);
    const Number *along = memory + line * from.stride + k, *across = memory + k * from.stride + line;
    bool whole = count == SIDE && deep == DEEP;  // then the compiler knows that nothing is to be masked off
    if (left != from.turned && whole)
        read_along(along, from.stride, SIDE, DEEP, words);
    else if (left != from.turned)
        read_along(along, from.stride, count, deep, words);
    else if (whole)
        read_across(across, from.stride, DEEP, SIDE, words);
    else
        read_across(across, from.stride, deep, count, words);
    if (from.turned) turn(words);
    for (int n = 0; n < SIDE; n++) _mm512_store_si512(to + n * DEEP, words[n]);
}

// Two tiles, of 32 lines.
inline void lay_out_both(const Operand& from, bool left, Size line, Size lines, Size k, Size inner, Half* to) {
    for (Size n = 0; n < 2; n++, line += SIDE, to += SIDE * DEEP)
        if (from.wide)
            lay_out<float>(from, left, line, lines, k, inner, to);
        else
            lay_out<Half>(from, left, line, lines, k, inner, to);
}

// A block of up to 32 x 32 results; `more`: they are added to what is in c.
inline void block_of(Size deep, const Half* a, const Half* b, Size rows, Size columns, bool more, float* c, Size stride) {
    alignas(64) float kept[4 * SIDE * SIDE];
    bool whole = rows >= 2 * SIDE && columns >= 2 * SIDE;
    float* to = whole ? c : kept;
    Size line = whole ? stride : 2 * SIDE, bytes = line * 4;
    if (more && !whole)
        for (Size row = 0; row < smaller(rows, 2 * SIDE); row++)
            std::memcpy(kept + row * line, c + row * stride, size_t(smaller(columns, 2 * SIDE)) * 4);
    if (more) {
        _tile_loadd(0, to, bytes);
        _tile_loadd(1, to + SIDE, bytes);
        _tile_loadd(2, to + SIDE * line, bytes);
        _tile_loadd(3, to + SIDE * line + SIDE, bytes);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (Size k = 0; k < deep; k++, a += 2 * SIDE * DEEP, b += 2 * SIDE * DEEP) {
        _tile_loadd(4, a, 64);
        _tile_loadd(6, b, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, b + SIDE * DEEP, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, a + SIDE * DEEP, 64);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, to, bytes);
    _tile_stored(1, to + SIDE, bytes);
    _tile_stored(2, to + SIDE * line, bytes);
    _tile_stored(3, to + SIDE * line + SIDE, bytes);
    if (!whole)
        for (Size row = 0; row < smaller(rows, 2 * SIDE); row++)
            std::memcpy(c + row * stride, kept + row * line, size_t(smaller(columns, 2 * SIDE)) * 4);
}

// C (rows x columns) = A times B in float sums of products of bfloat16. Where weights are given, C is their gradient:
// they make a step of Adam while it is near. The result does not depend on the number of threads.
int product(int threads, Size rows, Size columns, Size inner, Operand a, Operand b, float* c, const AdamWeight* weight,
            const AdamSettings* settings) {
    // So much of `inner` at a time that what is packed of B stays in the cache.
    enum { BLOCK = 2 * SIDE, TILES = 2 * SIDE * DEEP, WIDE = 8, AT_ONCE = 16 * DEEP };
    Size part = inner > 2 * AT_ONCE && rows * columns <= 1 << 17 ? AT_ONCE : inner, most = (part + DEEP - 1) / DEEP;
    Size tall = (rows + BLOCK - 1) / BLOCK, wide = (columns + BLOCK - 1) / BLOCK;
    Size chunks = (wide + WIDE - 1) / WIDE, tasks = tall * chunks;
    if (!rows || !columns) return 0;
    static thread_local Scratch shared;
    Half* packed = reinterpret_cast<Half*>(shared.floats(wide * most * TILES / 2 + 1));
    if (!packed) return NO_MEMORY;
    if (rows * columns * inner < 1 << 18) threads = 1;
    int failed = 0;
#pragma omp parallel num_threads(threads) if (threads > 1) reduction(| : failed)
    {
        static thread_local Scratch own;
        Half* lines = reinterpret_cast<Half*>(own.floats(most * TILES / 2 + 1));
        failed = !lines;
        Registers ready;
        for (Size from = 0; !from || from < inner; from += part > 0 ? part : 1) {
            Size end = smaller(from + part, inner), deep = (end - from + DEEP - 1) / DEEP;
            // In the order in which B lies in memory.
            Size outer = b.turned ? wide : deep, within = b.turned ? deep : wide;
#pragma omp for schedule(static)
            for (Size m = 0; m < outer; m++)
                for (Size n = 0; n < within; n++) {
                    Size column = b.turned ? m : n, k = b.turned ? n : m;
                    lay_out_both(b, false, column * BLOCK, columns, from + k * DEEP, end,
                                 packed + (column * deep + k) * TILES);
                }
            Size before = -1;
#pragma omp for schedule(static)
            for (Size task = 0; task < tasks; task++) {
                if (!lines) continue;
                Size row = task / chunks * BLOCK, first = task % chunks * WIDE, last = smaller(first + WIDE, wide);
                Size high = smaller(rows - row, BLOCK);
                for (Size k = 0; k < deep && row != before; k++)
                    lay_out_both(a, true, row, rows, from + k * DEEP, end, lines + k * TILES);
                before = row;
                for (Size n = first; n < last; n++)
                    block_of(deep, lines, packed + n * deep * TILES, high, columns - n * BLOCK, from > 0,
                             c + row * columns + n * BLOCK, columns);
                if (!weight || end < inner) continue;
                Size begin = first * BLOCK, behind = smaller(last * BLOCK, columns);
                bool whole = chunks == 1;
                for (Size k = row; k < row + (whole ? 1 : high); k++)
                    avx512::adam_some(*settings, *weight, k * columns + begin,
                                      whole ? (row + high) * columns : k * columns + behind);
            }
        }
    }
    return failed ? NO_MEMORY : 0;
}

struct Room {  // what a thread works in
    Half* narrow;
    float *wide, *state;
};

// Calls work(first sample, how many, room, thread) for blocks of 16 samples.
template <typename Work>
int by_blocks(int threads, Size batch, Size narrow, Size wide, Size state, Work work) {
    Size blocks = (batch + SIDE - 1) / SIDE;
    if (threads > blocks) threads = int(blocks);
    int failed = 0;
#pragma omp parallel num_threads(threads > 1 ? threads : 1)
    {
        static thread_local Scratch scratch;
        float* memory = scratch.floats(narrow / 2 + wide + state + 48);
        if (!memory) {
#pragma omp atomic write
            failed = NO_MEMORY;
        } else {
            Room room = {reinterpret_cast<Half*>(memory), memory + (narrow / 2 + 15) / 16 * 16, nullptr};
            room.state = room.wide + (wide + 15) / 16 * 16;
            Registers registers;
            Share mine(blocks, team_size(), this_thread());
            for (Size block = mine.first; block < mine.last; block++)
                work(block * SIDE, smaller(SIDE, batch - block * SIDE), room, this_thread());
        }
    }
    return failed;
}

// As for floats, but outputs and gates are bfloat16; cells are floats.
int lstm_forward(int threads, Size time, Size batch, Size units, const Half* recurrent_kernel, Half* gates,
                 Half* outputs, float* cells) {
    Size width = 4 * units;
    static thread_local Scratch scratch;
    Half* packed = reinterpret_cast<Half*>(scratch.floats(units * width / 2));
    if (!packed) return NO_MEMORY;
    pack(recurrent_kernel, width, 1, units, width, packed);
    return by_blocks(threads, batch, SIDE * units, SIDE * width, 0, [=](Size first, Size rows, Room room, int) {
        Half* h = room.narrow;
        std::memset(h, 0, size_t(SIDE * units) * 2);
        std::memcpy(h, outputs + first * units, size_t(rows * units) * 2);
        for (Size t = 0; t < time; t++) {
            multiply(h, units, packed, width, room.wide);
            for (Size row = 0; row < rows; row++) {
                Size sample = t * batch + first + row;
                Half* gate = gates + sample * width;
                const float *sum = room.wide + row * width, *c = cells + sample * units;
                float* c_new = cells + (sample + batch) * units;
                Half* h_new = outputs + (sample + batch) * units;
                for (Size u = 0; u < units; u += SIDE) {
                    V i = sigmoid(get(gate + u, SIDE) + get(sum + u, SIDE));
                    V f = sigmoid(get(gate + units + u, SIDE) + get(sum + units + u, SIDE));
                    V g = tanh(get(gate + 2 * units + u, SIDE) + get(sum + 2 * units + u, SIDE));
                    V o = sigmoid(get(gate + 3 * units + u, SIDE) + get(sum + 3 * units + u, SIDE));
                    V cell = f * get(c + u, SIDE) + i * g;
                    put(gate + u, i, SIDE);
                    put(gate + units + u, f, SIDE);
                    put(gate + 2 * units + u, g, SIDE);
                    put(gate + 3 * units + u, o, SIDE);
                    put(c_new + u, cell, SIDE);
                    V out = o * tanh(cell);
                    put(h_new + u, out, SIDE);
                    put(h + row * units + u, out, SIDE);
                }
            }
        }
    });
}

int lstm_backward(int threads, Size time, Size batch, Size units, const Half* recurrent_kernel, const Half* gates,
                  const float* cells, const Half* d_outputs, Size by_time, Size by_sample, Half* d_gates,
                  float* d_bias, float* d_h, float* d_c) {
    Size width = 4 * units;
    static thread_local Scratch scratch;
    Half* packed = reinterpret_cast<Half*>(scratch.floats(units * width / 2));
    if (!packed) return NO_MEMORY;
    pack(recurrent_kernel, 1, width, width, units, packed);
    auto work = [=](Size first, Size rows, Room room, int thread) {
        Half* d = room.narrow;
        float *back = room.state, *sum = d_bias + thread * width;
        std::memset(d, 0, size_t(SIDE * width) * 2);
        std::memset(back, 0, size_t(SIDE * units) * 4);
        std::memcpy(back, d_h + first * units, size_t(rows * units) * 4);
        for (Size t = time - 1; t >= 0; t--) {
            for (Size row = 0; row < rows; row++) {
                Size sample = t * batch + first + row;
                const Half* gate = gates + sample * width;
                const float *before = cells + sample * units, *after = before + batch * units;
                const Half* given = d_outputs ? d_outputs + t * by_time + (first + row) * by_sample : nullptr;
                Half* d_gate = d_gates + sample * width;
                float* dc = d_c + (first + row) * units;
                for (Size u = 0; u < units; u += SIDE) {
                    V i = get(gate + u, SIDE), f = get(gate + units + u, SIDE);
                    V g = get(gate + 2 * units + u, SIDE), o = get(gate + 3 * units + u, SIDE);
                    V squeezed = tanh(get(after + u, SIDE));
                    V to_h = get(back + row * units + u, SIDE), to_c = get(dc + u, SIDE);
                    if (given) to_h += get(given + u, SIDE);
                    to_c += to_h * o * (1.0f - squeezed * squeezed);
                    put_and_add(d_gate + u, sum + u, to_c * g * i * (1.0f - i), SIDE);
                    put_and_add(d_gate + units + u, sum + units + u, to_c * get(before + u, SIDE) * f * (1.0f - f), SIDE);
                    put_and_add(d_gate + 2 * units + u, sum + 2 * units + u, to_c * i * (1.0f - g * g), SIDE);
                    put_and_add(d_gate + 3 * units + u, sum + 3 * units + u, to_h * squeezed * o * (1.0f - o), SIDE);
                    put(dc + u, to_c * f, SIDE);
                }
                std::memcpy(d + row * width, d_gate, size_t(width) * 2);
            }
            multiply(d, width, packed, units, back);
        }
        std::memcpy(d_h + first * units, back, size_t(rows * units) * 4);
    };
    return by_blocks(threads, batch, SIDE * width, 0, SIDE * units, work);
}

// A GRU with the reset gate after the product, as for floats; gates, inner and outputs are bfloat16.
int gru_forward(int threads, Size time, Size batch, Size units, const Half* recurrent_kernel,
                const Half* recurrent_bias, Half* gates, Half* inner, Half* outputs) {
    Size width = 3 * units;
    static thread_local Scratch scratch;
    Half* packed = reinterpret_cast<Half*>(scratch.floats(units * width / 2));
    if (!packed) return NO_MEMORY;
    pack(recurrent_kernel, width, 1, units, width, packed);
    auto work = [=](Size first, Size rows, Room room, int) {
        Half* h = room.narrow;
        float* state = room.state;  // not rounded from step to step
        std::memset(h, 0, size_t(SIDE * units) * 2);
        std::memcpy(h, outputs + first * units, size_t(rows * units) * 2);
        for (Size n = 0; n < rows * units; n += SIDE) put(state + n, get(h + n, SIDE), SIDE);
        for (Size t = 0; t < time; t++) {
            multiply(h, units, packed, width, room.wide);
            for (Size row = 0; row < rows; row++) {
                Size sample = t * batch + first + row;
                Half *gate = gates + sample * width, *kept = inner + sample * units;
                Half* h_new = outputs + (sample + batch) * units;
                const float* sum = room.wide + row * width;
                for (Size u = 0; u < units; u += SIDE) {
                    V sum_z = get(sum + u, SIDE), sum_r = get(sum + units + u, SIDE);
                    V part = get(sum + 2 * units + u, SIDE);
                    if (recurrent_bias) {
                        sum_z += get(recurrent_bias + u, SIDE);
                        sum_r += get(recurrent_bias + units + u, SIDE);
                        part += get(recurrent_bias + 2 * units + u, SIDE);
                    }
                    V z = sigmoid(get(gate + u, SIDE) + sum_z), r = sigmoid(get(gate + units + u, SIDE) + sum_r);
                    V candidate = tanh(get(gate + 2 * units + u, SIDE) + r * part);
                    V out = candidate + z * (get(state + row * units + u, SIDE) - candidate);
                    put(gate + u, z, SIDE);
                    put(gate + units + u, r, SIDE);
                    put(gate + 2 * units + u, candidate, SIDE);
                    put(kept + u, part, SIDE);
                    put(state + row * units + u, out, SIDE);
                    put(h_new + u, out, SIDE);
                    put(h + row * units + u, out, SIDE);
                }
            }
        }
    };
    return by_blocks(threads, batch, SIDE * units, SIDE * width, SIDE * units, work);
}

int gru_backward(int threads, Size time, Size batch, Size units, const Half* recurrent_kernel, const Half* gates,
                 const Half* inner, const Half* outputs, const Half* d_outputs, Size by_time, Size by_sample,
                 Half* d_gates, float* d_bias, float* d_h) {
    Size width = 3 * units, d_width = 4 * units;
    static thread_local Scratch scratch;
    Half* packed = reinterpret_cast<Half*>(scratch.floats(units * width));
    if (!packed) return NO_MEMORY;
    Half* turned = packed + units * width;  // rows in the order candidate, z, r
    for (Size k = 0; k < units; k++) {
        std::memcpy(turned + k * width, recurrent_kernel + k * width + 2 * units, size_t(units) * 2);
        std::memcpy(turned + k * width + units, recurrent_kernel + k * width, size_t(2 * units) * 2);
    }
    pack(turned, 1, width, width, units, packed);
    auto work = [=](Size first, Size rows, Room room, int thread) {
        Half* d = room.narrow;
        float *back = room.wide, *direct = room.state, *sum = d_bias + thread * d_width;
        std::memset(d, 0, size_t(SIDE * width) * 2);
        std::memcpy(direct, d_h + first * units, size_t(rows * units) * 4);
        for (Size t = time - 1; t >= 0; t--) {
            for (Size row = 0; row < rows; row++) {
                Size sample = t * batch + first + row;
                const Half *gate = gates + sample * width, *part = inner + sample * units;
                const Half* before = outputs + sample * units;
                const Half* given = d_outputs ? d_outputs + t * by_time + (first + row) * by_sample : nullptr;
                Half* d_gate = d_gates + sample * d_width;
                for (Size u = 0; u < units; u += SIDE) {
                    V z = get(gate + u, SIDE), r = get(gate + units + u, SIDE), g = get(gate + 2 * units + u, SIDE);
                    V to_h = get(direct + row * units + u, SIDE);
                    if (given) to_h += get(given + u, SIDE);
                    V to_g = to_h * (1.0f - z) * (1.0f - g * g);
                    V to_z = to_h * (get(before + u, SIDE) - g) * z * (1.0f - z);
                    put_and_add(d_gate + u, sum + u, to_g * r, SIDE);
                    put_and_add(d_gate + units + u, sum + units + u, to_z, SIDE);
                    put_and_add(d_gate + 2 * units + u, sum + 2 * units + u,
                                to_g * get(part + u, SIDE) * r * (1.0f - r), SIDE);
                    put_and_add(d_gate + 3 * units + u, sum + 3 * units + u, to_g, SIDE);
                    put(direct + row * units + u, to_h * z, SIDE);
                }
                std::memcpy(d + row * width, d_gate, size_t(width) * 2);
            }
            multiply(d, width, packed, units, back);
            for (Size n = 0; n < rows * units; n += SIDE) put(direct + n, get(direct + n, SIDE) + get(back + n, SIDE), SIDE);
        }
        std::memcpy(d_h + first * units, direct, size_t(rows * units) * 4);
    };
    return by_blocks(threads, batch, SIDE * width, SIDE * units, SIDE * units, work);
}

#include "tile_convolution.h"
#include "tile_few_channels.h"
#include "tile_few_rows.h"

}  // namespace tiles
}  // namespace

#pragma GCC pop_options
#endif

namespace {

// 0: plain, 1: AVX2, 2: AVX512, 3: AVX512, and tiles of bfloat16 (AMX)
int best_set() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
#ifdef HAS_TILES
        if (tiles::allowed()) return 3;
#endif
        return 2;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 1;
#endif
    return 0;
}

int chosen_set = best_set();

bool has_tiles() { return chosen_set == 3; }

int product_of_halves(int threads, const Operation& one) {
#ifdef HAS_TILES
    if (has_tiles()) {
        const int64_t *size = one.sizes, flags = one.flags;
        tiles::Operand a = {one.memory[0], flags & TRANSPOSE_A ? size[0] : size[2], bool(flags & TRANSPOSE_A),
                            bool(flags & WIDE_A)};
        tiles::Operand b = {one.memory[1], flags & TRANSPOSE_B ? size[2] : size[1], bool(flags & TRANSPOSE_B),
                            bool(flags & WIDE_B)};
        return tiles::product(threads, size[0], size[1], size[2], a, b, static_cast<float*>(one.memory[2]),
                              static_cast<const AdamWeight*>(one.memory[3]),
                              static_cast<const AdamSettings*>(one.memory[4]));
    }
#endif
    return NO_SUCH_OPERATION;
}

}  // namespace

#if defined(__x86_64__)
#define DISPATCH(call)              \
    switch (chosen_set) {           \
        case 3:                     \
        case 2: return avx512::call; \
        case 1: return avx2::call;  \
        default: return plain::call; \
    }
#else
#define DISPATCH(call) return plain::call;
#endif

// Changes with every change of a function below, so that an old build is not used by newer Python.
EXPORT int uncrumple_version() { return 9; }

EXPORT int uncrumple_instruction_set() { return chosen_set; }

// For tests: use less than the processor has. Returns what is used from now on.
EXPORT int uncrumple_limit_instruction_set(int most) {
    int best = best_set();
    chosen_set = most < 0 || most > best ? best : most;
    return chosen_set;
}

EXPORT void uncrumple_use_gemm(void* gemm) { torch_gemm = reinterpret_cast<Gemm>(gemm); }

// `half`: the numbers are bfloat16.

// Runs operations one after the other; returns 0, or what failed (`Failure`).
EXPORT int uncrumple_run(int threads, const Operation* operations, Size count) {
    DISPATCH(run(threads, operations, count))
}

// Trains many networks, each by one thread; `failed` of each tells how it went. Returns whether any failed.
EXPORT int uncrumple_train_many(int threads, Training* networks, Size count) {
    DISPATCH(train_many(threads, networks, count))
}

// Draws from a state of torch's generator, as torch does: an order of `count` numbers and a seed.
EXPORT int uncrumple_draw(int, Twister* random, Size count, int64_t* order, int64_t* seed) {
    random->shuffle(count, order);
    *seed = random->seed();
    return 0;
}

// A step of Adam for several weights; `sizes` counts their numbers.
EXPORT int uncrumple_adam(int threads, Size count, const Size* sizes, const AdamWeight* weights,
                          const AdamSettings* settings) {
    DISPATCH(adam(threads, count, sizes, weights, *settings))
}

// The same for one table (rows x width) whose gradient are `count` rows, each added to the row that `places` names.
// `weight` has no gradient of its own. wide: whether places are int64, otherwise int32.
EXPORT int uncrumple_adam_rows(int threads, Size rows, Size width, Size count, int wide, const void* places,
                               const float* from, const AdamWeight* weight, const AdamSettings* settings) {
    if (wide) DISPATCH(adam_rows(threads, rows, width, count, (const int64_t*)places, from, *weight, *settings))
    DISPATCH(adam_rows(threads, rows, width, count, (const int32_t*)places, from, *weight, *settings))
}

// Keeps each number with the probability 1 - dropped / 2^32, multiplied by `scale`, and sets the others to zero.
// What is kept depends on the seed and the place alone. `to` may be `from`.
EXPORT int uncrumple_dropout(int threads, Size count, Size seed, Size dropped, double scale, int half,
                             const void* from, void* to) {
    if (half) DISPATCH(dropout(threads, count, seed, dropped, scale, (const Half*)from, (Half*)to))
    DISPATCH(dropout(threads, count, seed, dropped, scale, (const float*)from, (float*)to))
}

EXPORT int uncrumple_pool(int threads, Size samples, Size height, Size width, Size channels, Size tall, Size wide,
                          int relu, Size seed, Size dropped, double scale, int half, const void* x, void* out,
                          uint8_t* where) {
    if (half)
        DISPATCH(pool(threads, samples, height, width, channels, tall, wide, relu, seed, dropped, scale,
                      (const Half*)x, (Half*)out, where))
    DISPATCH(pool(threads, samples, height, width, channels, tall, wide, relu, seed, dropped, scale, (const float*)x,
                  (float*)out, where))
}

EXPORT int uncrumple_pool_backward(int threads, Size samples, Size height, Size width, Size channels, Size tall,
                                   Size wide, double scale, int half, const void* dy, const uint8_t* where, void* dx,
                                   float* sums) {
    if (half)
        DISPATCH(pool_backward(threads, samples, height, width, channels, tall, wide, scale, (const Half*)dy, where,
                               (Half*)dx, sums))
    DISPATCH(pool_backward(threads, samples, height, width, channels, tall, wide, scale, (const float*)dy, where,
                           (float*)dx, sums))
}

EXPORT int uncrumple_relu_backward(int threads, Size rows, Size columns, int half, const void* y, const void* dy,
                                   void* dx, float* sums) {
    if (half)
        DISPATCH(relu_backward(threads, rows, columns, (const Half*)y, (const Half*)dy, (Half*)dx, sums))
    DISPATCH(relu_backward(threads, rows, columns, (const float*)y, (const float*)dy, (float*)dx, sums))
}

// The sizes are those of FewShape, in its order.
EXPORT int uncrumple_few_channels(int threads, const Size* sizes, int half, int relu, Size seed, Size dropped,
                                  double scale, const void* x, const void* kernel, const void* bias, void* out,
                                  uint8_t* where) {
#define CALL(Number)                                                                                              \
    DISPATCH(few_channels(threads, sizes, {relu, mixed(seed), uint32_t(dropped), float(scale)}, (const Number*)x, \
                          (const Number*)kernel, (const Number*)bias, (Number*)out, where))
    if (half) CALL(Half)
    CALL(float)
#undef CALL
}

EXPORT int uncrumple_few_channels_backward(int threads, const Size* sizes, int half, const void* x, const void* y,
                                           const void* d, float* sums) {
#ifdef HAS_TILES
    avx512::FewShape shape;
    std::memcpy(&shape, sizes, sizeof shape);
    if (half && chosen_set == 3 && tiles::tiles_take(shape))
        return tiles::few_channels_backward(threads, shape, (const Half*)x, (const Half*)y, (const Half*)d, sums);
#endif
    if (half) DISPATCH(few_channels_backward(threads, sizes, (const Half*)x, (const Half*)y, (const Half*)d, sums))
    DISPATCH(few_channels_backward(threads, sizes, (const float*)x, (const float*)y, (const float*)d, sums))
}

// In bfloat16, where there are tiles. The sizes are those of TileShape, in its order.
EXPORT int uncrumple_tile_convolution(int threads, const Size* sizes, int relu, Size seed, Size dropped, double scale,
                                      const Half* x, const Half* kernel, const Half* bias, Half* out, uint8_t* where) {
#ifdef HAS_TILES
    return tiles::convolution(threads, sizes, {relu, mixed(seed), uint32_t(dropped), float(scale)}, x, kernel, bias,
                              out, where);
#else
    return NO_SUCH_OPERATION;
#endif
}

EXPORT int uncrumple_tile_convolution_backward(int threads, const Size* sizes, double scale, const Half* x,
                                               const Half* kernel, const void* kept, const Half* d_out, Half* d_x,
                                               Half* d_kernel, Half* d_bias) {
#ifdef HAS_TILES
    return tiles::convolution_backward(threads, sizes, float(scale), x, kernel, kept, d_out, d_x, d_kernel, d_bias);
#else
    return NO_SUCH_OPERATION;
#endif
}

// Of x in bfloat16 and a kernel and a bias in floats, rounded on the way. Many rows are worth tiles, where there are any.
EXPORT int uncrumple_wide_product(int threads, Size rows, Size inner, Size columns, int relu, const Half* x,
                                  const float* kernel, const float* bias, Half* out) {
#ifdef HAS_TILES
    if (rows >= 8 && chosen_set == 3) {
        static thread_local Scratch scratch;
        float* sums = scratch.floats(rows * columns + 1);
        if (!sums) return NO_MEMORY;
        tiles::Operand a = {x, inner, false, false}, b = {kernel, columns, false, true};
        int failed = tiles::product(threads, rows, columns, inner, a, b, sums, nullptr, nullptr);
        return failed ? failed : avx512::end_rows(threads, rows, columns, relu, sums, bias, out);
    }
    if (rows < 8 && columns % 32 == 0 && chosen_set == 3)
        return tiles::few_rows(threads, rows, inner, columns, relu, x, kernel, bias, out);
#endif
    DISPATCH(few_rows(threads, rows, inner, columns, relu, x, kernel, bias, out))
}

// Of a few rows of floats.
EXPORT int uncrumple_few_rows(int threads, Size rows, Size inner, Size columns, int relu, const float* x,
                              const float* kernel, const float* bias, float* out) {
    DISPATCH(few_rows(threads, rows, inner, columns, relu, x, kernel, bias, out))
}

// In one thread: several pictures are made at once.
EXPORT int uncrumple_resize(int, const Size* sizes, const uint8_t* picture, const int64_t* row_places,
                            const float* row_part, const int64_t* column_places, const float* column_part, float* to) {
    DISPATCH(resize(sizes, picture, row_places, row_part, column_places, column_part, to))
}

// Every function returns 0, or 1 if there was no memory. d_bias has a row per thread, which comes as zeros and leaves
// as the sum over that thread's samples and all time steps: added up in order they are the same on every run.

EXPORT int uncrumple_lstm_forward(int threads, Size time, Size batch, Size units, const float* recurrent_kernel,
                                  float* gates, float* outputs, float* cells) {
    DISPATCH(lstm_forward(threads, time, batch, units, recurrent_kernel, gates, outputs, cells))
}

EXPORT int uncrumple_lstm_backward(int threads, Size time, Size batch, Size units, const float* recurrent_kernel,
                                   const float* gates, const float* cells, const float* d_outputs, Size by_time,
                                   Size by_sample, const float* d_cells, Size cells_by_time, Size cells_by_sample,
                                   float* d_gates, float* d_bias, float* d_h, float* d_c) {
    DISPATCH(lstm_backward(threads, time, batch, units, recurrent_kernel, gates, cells, d_outputs, by_time, by_sample,
                           d_cells, cells_by_time, cells_by_sample, d_gates, d_bias, d_h, d_c))
}

// Whether the next two can be called; units must be a multiple of 32.
EXPORT int uncrumple_has_tiles() { return has_tiles(); }

EXPORT int uncrumple_lstm_forward_half(int threads, Size time, Size batch, Size units, const Half* recurrent_kernel,
                                       Half* gates, Half* outputs, float* cells) {
#ifdef HAS_TILES
    return tiles::lstm_forward(threads, time, batch, units, recurrent_kernel, gates, outputs, cells);
#else
    return NO_SUCH_OPERATION;
#endif
}

EXPORT int uncrumple_lstm_backward_half(int threads, Size time, Size batch, Size units, const Half* recurrent_kernel,
                                        const Half* gates, const float* cells, const Half* d_outputs, Size by_time,
                                        Size by_sample, Half* d_gates, float* d_bias, float* d_h, float* d_c) {
#ifdef HAS_TILES
    return tiles::lstm_backward(threads, time, batch, units, recurrent_kernel, gates, cells, d_outputs, by_time,
                                by_sample, d_gates, d_bias, d_h, d_c);
#else
    return NO_SUCH_OPERATION;
#endif
}

EXPORT int uncrumple_gru_forward(int threads, Size time, Size batch, Size units, const float* recurrent_kernel,
                                 const float* recurrent_bias, float* gates, float* inner, float* outputs) {
    DISPATCH(gru_forward(threads, time, batch, units, recurrent_kernel, recurrent_bias, gates, inner, outputs))
}

EXPORT int uncrumple_gru_backward(int threads, Size time, Size batch, Size units, const float* recurrent_kernel,
                                  const float* gates, const float* inner, const float* outputs,
                                  const float* d_outputs, Size by_time, Size by_sample, float* d_gates, float* d_bias,
                                  float* d_h) {
    DISPATCH(gru_backward(threads, time, batch, units, recurrent_kernel, gates, inner, outputs, d_outputs, by_time,
                          by_sample, d_gates, d_bias, d_h))
}

EXPORT int uncrumple_simple_rnn_forward(int threads, Size time, Size batch, Size units, int relu,
                                        const float* recurrent_kernel, float* outputs) {
    DISPATCH(simple_rnn_forward(threads, time, batch, units, relu, recurrent_kernel, outputs))
}

EXPORT int uncrumple_simple_rnn_backward(int threads, Size time, Size batch, Size units, int relu,
                                         const float* recurrent_kernel, const float* outputs, const float* d_outputs,
                                         Size by_time, Size by_sample, float* d_sums, float* d_bias, float* d_h) {
    DISPATCH(simple_rnn_backward(threads, time, batch, units, relu, recurrent_kernel, outputs, d_outputs, by_time,
                                 by_sample, d_sums, d_bias, d_h))
}

// Batch normalization and other parts of layers, called by the layers themselves.

EXPORT int uncrumple_batch_moments(int threads, Size rows, Size channels, double momentum, double epsilon, int half,
                                   const void* x, float* moving_mean, float* moving_variance, float* mean,
                                   float* deviation, float* room) {
    if (half)
        DISPATCH(batch_moments(threads, rows, channels, momentum, epsilon, (const Half*)x, moving_mean,
                               moving_variance, mean, deviation, room))
    DISPATCH(batch_moments(threads, rows, channels, momentum, epsilon, (const float*)x, moving_mean, moving_variance,
                           mean, deviation, room))
}

// The last arguments of these two are those of the functions of the same name.
EXPORT int uncrumple_normalize(int threads, Size rows, Size channels, int relu, Size seed, Size dropped, double scale,
                               int half, const void* x, const float* mean, const float* factor, const float* offset,
                               const void* shortcut, void* y, float* room) {
#define CALL(Number)                                                                                            \
    DISPATCH(normalize(threads, rows, channels, {relu, seed, uint32_t(dropped), float(scale)}, (const Number*)x, \
                       mean, factor, offset, (const Number*)shortcut, (Number*)y, room))
    if (half) CALL(Half)
    CALL(float)
#undef CALL
}

EXPORT int uncrumple_normalize_backward(int threads, Size rows, Size channels, int relu, Size seed, Size dropped,
                                        double scale, int half, const void* x, const float* mean,
                                        const float* deviation, const float* factor, const float* offset,
                                        const void* y, const void* dy, void* d_shortcut, void* dx, float* d_gamma,
                                        float* d_beta, float* room) {
#define CALL(Number)                                                                                                  \
    DISPATCH(normalize_backward(threads, rows, channels, {relu, seed, uint32_t(dropped), float(scale)},               \
                                (const Number*)x, mean, deviation, factor, offset, (const Number*)y,                  \
                                (const Number*)dy, (Number*)d_shortcut, (Number*)dx, d_gamma, d_beta, room))
    if (half) CALL(Half)
    CALL(float)
#undef CALL
}

EXPORT int uncrumple_greatest_step(int threads, Size samples, Size steps, Size channels, int relu, int half,
                                   const void* y, void* out) {
    if (half) DISPATCH(greatest_step(threads, samples, steps, channels, relu, (const Half*)y, (Half*)out))
    DISPATCH(greatest_step(threads, samples, steps, channels, relu, (const float*)y, (float*)out))
}

EXPORT int uncrumple_greatest_step_backward(int threads, Size samples, Size steps, Size channels, Size steps_in,
                                            Size channels_in, Size width, Size stride, Size hole, Size padding,
                                            int relu, int half, const void* y, const void* out, const void* d_out,
                                            const void* x, const void* weight, void* dx, float* d_weight,
                                            int32_t* places, float* room) {
#define CALL(Number)                                                                                                 \
    DISPATCH(greatest_step_backward(threads,                                                                         \
                                    {samples, steps, channels, steps_in, channels_in, width, stride, hole, padding}, \
                                    relu, (const Number*)y, (const Number*)out, (const Number*)d_out,                \
                                    (const Number*)x, (const Number*)weight, (Number*)dx, d_weight, places, room))
    if (half) CALL(Half)
    CALL(float)
#undef CALL
}

// As for the LSTM: only where there are tiles, and for a multiple of 32 units.
EXPORT int uncrumple_gru_forward_half(int threads, Size time, Size batch, Size units, const Half* recurrent_kernel,
                                      const Half* recurrent_bias, Half* gates, Half* inner, Half* outputs) {
#ifdef HAS_TILES
    return tiles::gru_forward(threads, time, batch, units, recurrent_kernel, recurrent_bias, gates, inner, outputs);
#else
    return NO_SUCH_OPERATION;
#endif
}

EXPORT int uncrumple_gru_backward_half(int threads, Size time, Size batch, Size units, const Half* recurrent_kernel,
                                       const Half* gates, const Half* inner, const Half* outputs,
                                       const Half* d_outputs, Size by_time, Size by_sample, Half* d_gates,
                                       float* d_bias, float* d_h) {
#ifdef HAS_TILES
    return tiles::gru_backward(threads, time, batch, units, recurrent_kernel, gates, inner, outputs, d_outputs,
                               by_time, by_sample, d_gates, d_bias, d_h);
#else
    return NO_SUCH_OPERATION;
#endif
}

EXPORT int uncrumple_add_and_rectify(int threads, Size rows, Size columns, const float* bias, float* y) {
    DISPATCH(add_and_rectify(threads, rows, columns, bias, y))
}

EXPORT int uncrumple_dense(int threads, Size rows, Size inner, Size columns, int relu, double epsilon, const float* x,
                           const float* weights, const float* bias, const float* shortcut, const float* gamma,
                           const float* beta, float* y, float* sum, float* kept) {
    DISPATCH(dense(threads, rows, inner, columns, relu, epsilon, x, weights, bias, shortcut, gamma, beta, y, sum, kept))
}

EXPORT int uncrumple_dense_backward(int threads, Size rows, Size inner, Size columns, const float* y, const float* sum,
                                    const float* kept, const float* gamma, const float* dy, const float* weights,
                                    const float* plus, float* d, float* dx, float* sums) {
    DISPATCH(dense_backward(threads, rows, inner, columns, y, sum, kept, gamma, dy, weights, plus, d, dx, sums))
}

EXPORT int uncrumple_add_rows(int threads, Size rows, Size width, Size count, int wide, const void* places,
                              const float* from, float* to) {
    if (wide) DISPATCH(add_rows(threads, rows, width, count, (const int64_t*)places, from, to))
    DISPATCH(add_rows(threads, rows, width, count, (const int32_t*)places, from, to))
}

EXPORT int uncrumple_attention(int threads, Size batch, Size heads, Size queries, Size keys, Size width,
                               Size width_out, double scale, int causal, int half, const Size* strides,
                               const void* query, const void* key, const void* value, void* out, float* sums) {
#define CALL(Number)                                                                                          \
    DISPATCH(attention(threads, {batch, heads, queries, keys, width, width_out, float(scale), causal, strides}, \
                       (const Number*)query, (const Number*)key, (const Number*)value, (Number*)out, sums))
    if (half) CALL(Half)
    CALL(float)
#undef CALL
}

EXPORT int uncrumple_attention_backward(int threads, Size batch, Size heads, Size queries, Size keys, Size width,
                                        Size width_out, double scale, int causal, int half, const Size* strides,
                                        const void* query, const void* key, const void* value,
                                        const void* d_out, const float* sums, void* d_query, void* d_key,
                                        void* d_value) {
#define CALL(Number)                                                                                              \
    DISPATCH(attention_backward(threads,                                                                          \
                                {batch, heads, queries, keys, width, width_out, float(scale), causal, strides},   \
                                (const Number*)query, (const Number*)key, (const Number*)value,                   \
                                (const Number*)d_out, sums, (Number*)d_query, (Number*)d_key, (Number*)d_value))
    if (half) CALL(Half)
    CALL(float)
#undef CALL
}

EXPORT int uncrumple_layer_normalize(int threads, Size rows, Size width, double epsilon, int half, const void* x,
                                     const void* shortcut, const float* gamma, const float* beta, void* y,
                                     float* kept) {
#define CALL(Number)                                                                                              \
    DISPATCH(layer_normalize(threads, rows, width, epsilon, (const Number*)x, (const Number*)shortcut, gamma, beta, \
                             (Number*)y, kept))
    if (half) CALL(Half)
    CALL(float)
#undef CALL
}

EXPORT int uncrumple_layer_normalize_backward(int threads, Size rows, Size width, int half, const void* x,
                                              const void* shortcut, const float* gamma, const void* dy, const float* kept, void* dx,
                                              float* sums) {
#define CALL(Number)                                                                                       \
    DISPATCH(layer_normalize_backward(threads, rows, width, (const Number*)x, (const Number*)shortcut, gamma, \
                                      (const Number*)dy, kept, (Number*)dx, sums))
    if (half) CALL(Half)
    CALL(float)
#undef CALL
}

#else  // BODY: once per instruction set

namespace {
namespace SET {

// --- vectors --------------------------------------------------------------------------

typedef float V __attribute__((vector_size(LANES * 4)));
typedef int32_t VI __attribute__((vector_size(LANES * 4)));
typedef float Loose __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

inline V load(const float* p) { return *reinterpret_cast<const Loose*>(p); }
inline void store(float* p, V v) { *reinterpret_cast<Loose*>(p) = v; }

// One number in all lanes. To subtract zero costs nothing, as it changes no number; to add zero makes -0 another one.
inline V everywhere(float x) { return x - V{}; }

// The first `count` floats of a vector, from one to all; the others are zeros.
#if LANES == 16
typedef __mmask16 Mask;
inline Mask first_lanes(Size count) { return Mask((1u << count) - 1); }
inline V load(const float* p, Mask mask) { return (V)_mm512_maskz_loadu_ps(mask, p); }
inline void store(float* p, V v, Mask mask) { _mm512_mask_storeu_ps(p, mask, (__m512)v); }
inline V root(V v) { return (V)_mm512_sqrt_ps((__m512)v); }
#elif LANES == 8
typedef __m256i Mask;
inline Mask first_lanes(Size count) {
    static const int32_t ones[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i*)(ones + 8 - count));
}
inline V load(const float* p, Mask mask) { return (V)_mm256_maskload_ps(p, mask); }
inline void store(float* p, V v, Mask mask) { _mm256_maskstore_ps(p, mask, (__m256)v); }
inline V root(V v) { return (V)_mm256_sqrt_ps((__m256)v); }
#else
typedef Size Mask;
inline Mask first_lanes(Size count) { return count; }
inline V load(const float* p, Mask count) {
    V v = {};
    for (int n = 0; n < LANES; n++)
        if (n < count) v[n] = p[n];
    return v;
}
inline void store(float* p, V v, Mask count) {
    for (int n = 0; n < LANES; n++)
        if (n < count) p[n] = v[n];
}
inline V root(V v) {
    for (int lane = 0; lane < LANES; lane++) v[lane] = std::sqrt(v[lane]);
    return v;
}
#endif

inline V load_some(const float* p, Size count) { return load(p, first_lanes(count)); }
inline void store_some(float* p, V v, Size count) { store(p, v, first_lanes(count)); }

// Vectors of `count` floats at a time; the last may be shorter.
inline V get(const float* p, Size left) { return left >= LANES ? load(p) : load_some(p, left); }
inline void put(float* p, V v, Size left) {
    if (left >= LANES)
        store(p, v);
    else
        store_some(p, v, left);
}

typedef uint32_t VU __attribute__((vector_size(LANES * 4)));
typedef uint16_t VH __attribute__((vector_size(LANES * 2)));

inline V get(const Half* p, Size left) {
    VH bits = {};
    if (left >= LANES)
        std::memcpy(&bits, p, LANES * 2);
    else
        std::memcpy(&bits, p, size_t(left) * 2);
    return (V)(__builtin_convertvector(bits, VU) << 16);
}

// Rounds to the nearest, to even where two are as near, as torch does.
inline void put(Half* p, V v, Size left) {
    VU bits = (VU)v;
    VU rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    VH narrow = __builtin_convertvector(v == v ? rounded : VU{} + 0x7fc0u, VH);
    if (left >= LANES)
        std::memcpy(p, &narrow, LANES * 2);
    else
        std::memcpy(p, &narrow, size_t(left) * 2);
}

template <typename Number>
inline void put_and_add(Number* p, float* sum, V v, Size left) {
    put(p, v, left);
    put(sum, get(sum, left) + v, left);
}

// Before a loop over sums that shall stay in registers: one loop that is not unrolled sends them all through memory.
#ifndef IN_REGISTERS
#if defined(__GNUC__)
#define IN_REGISTERS _Pragma("GCC unroll 16")
#else
#define IN_REGISTERS
#endif
#endif

// How many numbers are left for vector v of WIDE, all of which are whole but the last one.
template <int WIDE>
inline Size left_for(int v, Size left) { return v < WIDE - 1 ? Size(LANES) : left - v * LANES; }

// Calls each(n, left) for the vectors of the numbers from first to last. All are whole but the last one, and that they are
// is known when they are compiled: without a question per vector.
template <typename Each>
inline void by_vectors(Size first, Size last, Each each) {
    Size n = first;
    for (; n + LANES <= last; n += LANES) each(n, Size(LANES));
    if (n < last) each(n, last - n);
}

// e to the x to one unit in the last place; below -87 it stays at 1e-38, above 88 at 2e38. NaN stays NaN.
// Reduction to |x| <= ln(2) / 2 and the polynomial are those of the Cephes library (Moshier).
inline V exponential(V x) {
    x = x > 88.0f ? V{} + 88.0f : x;
    x = x < -87.0f ? V{} - 87.0f : x;
    const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
    V n = (x * 1.44269504088896341f + magic) - magic;
    x = x - n * 0.693359375f;
    x = x + n * 2.12194440e-4f;
    V p = x * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * x + 8.3334519073e-3f;
    p = p * x + 4.1665795894e-2f;
    p = p * x + 1.6666665459e-1f;
    p = p * x + 5.0000001201e-1f;
    p = p * (x * x) + x + 1.0f;
    VI power = (__builtin_convertvector(n, VI) + 127) << 23;
    return p * (V)power;
}

inline V sigmoid(V x) { return 1.0f / (1.0f + exponential(-x)); }

// Near zero a polynomial (Cephes), which keeps the relative error small there.
inline V tanh(V x) {
    V square = x * x;
    V p = square * -5.70498872745e-3f + 2.06390887954e-2f;
    p = p * square - 5.37397155531e-2f;
    p = p * square + 1.33314422036e-1f;
    p = p * square - 3.33332819422e-1f;
    V near = x + x * square * p;
    V far = 1.0f - 2.0f / (exponential(x + x) + 1.0f);
    return square < 0.390625f ? near : far;
}

// --- products with a matrix that stays the same for all time steps ----------------------

enum { VECTORS = 3, PANEL = VECTORS * LANES };

inline Size packed_size(Size inner, Size columns) { return (columns + PANEL - 1) / PANEL * PANEL * inner; }

// Lays `inner` x `columns` values out in panels of PANEL columns, each row by row; missing columns are zeros.
// Element (k, n) is from[k * by_row + n * by_column].
void pack(const float* from, Size by_row, Size by_column, Size inner, Size columns, Size first_panel, Size last_panel,
          float* to) {
    for (Size panel = first_panel; panel < last_panel; panel++) {
        Size n0 = panel * PANEL, count = smaller(PANEL, columns - n0);
        float* target = to + panel * PANEL * inner;
        for (Size k = 0; k < inner; k++, target += PANEL) {
            const float* source = from + k * by_row + n0 * by_column;
            if (by_column == 1)
                std::memcpy(target, source, size_t(count) * 4);
            else
                for (Size n = 0; n < count; n++) target[n] = source[n * by_column];
            for (Size n = count; n < PANEL; n++) target[n] = 0;
        }
    }
}

// C (M x columns of one panel) = or += A (M x inner) times a panel.
template <int M>
inline void multiply_block(const float* a, Size a_row, Size inner, const float* panel, float* c, Size c_row,
                           Size columns, bool add) {
    V sum[M][VECTORS] = {};
    for (Size k = 0; k < inner; k++, panel += PANEL) {
        V b[VECTORS];
        for (int j = 0; j < VECTORS; j++) b[j] = load(panel + j * LANES);
        for (int i = 0; i < M; i++)
            for (int j = 0; j < VECTORS; j++) sum[i][j] += a[i * a_row + k] * b[j];
    }
    if (columns == PANEL) {
        if (add)
            IN_REGISTERS for (int i = 0; i < M; i++)
                IN_REGISTERS for (int j = 0; j < VECTORS; j++) sum[i][j] += load(c + i * c_row + j * LANES);
        IN_REGISTERS for (int i = 0; i < M; i++)
            IN_REGISTERS for (int j = 0; j < VECTORS; j++) store(c + i * c_row + j * LANES, sum[i][j]);
        return;
    }
    IN_REGISTERS for (int i = 0; i < M; i++)
        IN_REGISTERS for (int j = 0; j < VECTORS; j++) {
            Size left = columns - j * LANES;
            float* target = c + i * c_row + j * LANES;
            if (left > 0) put(target, add ? get(target, left) + sum[i][j] : sum[i][j], left);
        }
}

// C (rows x columns) = or += A (rows x inner) times a packed matrix.
void multiply(Size rows, const float* a, Size a_row, Size inner, const float* packed, Size columns, float* c,
              Size c_row, bool add) {
    for (Size n0 = 0; n0 < columns; n0 += PANEL) {
        const float* panel = packed + n0 * inner;
        Size count = smaller(PANEL, columns - n0), row = 0;
        for (; row + ROWS <= rows; row += ROWS)
            multiply_block<ROWS>(a + row * a_row, a_row, inner, panel, c + row * c_row + n0, c_row, count, add);
        for (; row + 2 <= rows; row += 2)
            multiply_block<2>(a + row * a_row, a_row, inner, panel, c + row * c_row + n0, c_row, count, add);
        for (; row < rows; row++)
            multiply_block<1>(a + row * a_row, a_row, inner, panel, c + row * c_row + n0, c_row, count, add);
    }
}

// Packs in parallel, then lets every thread run its rows through all time steps: no thread waits for another.
template <typename Work>
int run_rows(int threads, Size batch, Size units, Size inner, Size columns, const float* matrix, Size by_row,
             Size by_column, Work work) {
    if (!batch || !units) return 0;
    static thread_local Scratch scratch;
    float* packed = scratch.floats(packed_size(inner, columns));
    if (!packed) return 1;
    Size panels = (columns + PANEL - 1) / PANEL;
    if (threads > batch) threads = int(batch);
    if (threads <= 1) {
        pack(matrix, by_row, by_column, inner, columns, 0, panels, packed);
        work(Share(batch, 1, 0), packed);
        return 0;
    }
#pragma omp parallel num_threads(threads)
    {
        Share mine(panels, team_size(), this_thread());
        pack(matrix, by_row, by_column, inner, columns, mine.first, mine.last, packed);
#pragma omp barrier
        work(Share(batch, team_size(), this_thread()), packed);
    }
    return 0;
}

// --- LSTM -------------------------------------------------------------------------------

// gates (time, batch, 4 units): comes as the projected inputs, leaves as the gates i, f, candidate, o.
// outputs, cells (time + 1, batch, units): the first step holds the initial states.
int lstm_forward(int threads, Size time, Size batch, Size units, const float* recurrent_kernel, float* gates,
                 float* outputs, float* cells) {
    Size width = 4 * units;
    return run_rows(threads, batch, units, units, width, recurrent_kernel, width, 1, [=](Share mine, const float* packed) {
        Size rows = mine.last - mine.first;
        for (Size t = 0; t < time; t++) {
            float* gate = gates + (t * batch + mine.first) * width;
            const float* h = outputs + (t * batch + mine.first) * units;
            const float* c = cells + (t * batch + mine.first) * units;
            float* h_new = outputs + ((t + 1) * batch + mine.first) * units;
            float* c_new = cells + ((t + 1) * batch + mine.first) * units;
            multiply(rows, h, units, units, packed, width, gate, width, true);
            for (Size row = 0; row < rows; row++, gate += width, c += units, h_new += units, c_new += units)
                for (Size u = 0; u < units; u += LANES) {
                    Size left = units - u;
                    V i = sigmoid(get(gate + u, left)), f = sigmoid(get(gate + units + u, left));
                    V g = tanh(get(gate + 2 * units + u, left)), o = sigmoid(get(gate + 3 * units + u, left));
                    V cell = f * get(c + u, left) + i * g;
                    put(gate + u, i, left);
                    put(gate + units + u, f, left);
                    put(gate + 2 * units + u, g, left);
                    put(gate + 3 * units + u, o, left);
                    put(c_new + u, cell, left);
                    put(h_new + u, o * tanh(cell), left);
                }
        }
    });
}

// d_outputs, d_cells: gradients of every output and cell state, or null. d_h, d_c (batch, units): come as what the
// last states get beside that, leave as the gradients of the initial states. d_gates (time, batch, 4 units) is filled.
int lstm_backward(int threads, Size time, Size batch, Size units, const float* recurrent_kernel, const float* gates,
                  const float* cells, const float* d_outputs, Size by_time, Size by_sample, const float* d_cells,
                  Size cells_by_time, Size cells_by_sample, float* d_gates, float* d_bias, float* d_h, float* d_c) {
    Size width = 4 * units;
    return run_rows(threads, batch, units, width, units, recurrent_kernel, 1, width, [=](Share mine, const float* packed) {
        Size rows = mine.last - mine.first;
        float* sum = d_bias + mine.thread * width;
        for (Size t = time - 1; t >= 0; t--) {
            for (Size sample = mine.first; sample < mine.last; sample++) {
                const float* gate = gates + (t * batch + sample) * width;
                float* d_gate = d_gates + (t * batch + sample) * width;
                const float* before = cells + (t * batch + sample) * units;
                const float* after = before + batch * units;
                const float* given = d_outputs ? d_outputs + t * by_time + sample * by_sample : nullptr;
                const float* given_cell = d_cells ? d_cells + t * cells_by_time + sample * cells_by_sample : nullptr;
                float *dh = d_h + sample * units, *dc = d_c + sample * units;
                for (Size u = 0; u < units; u += LANES) {
                    Size left = units - u;
                    V i = get(gate + u, left), f = get(gate + units + u, left);
                    V g = get(gate + 2 * units + u, left), o = get(gate + 3 * units + u, left);
                    V squeezed = tanh(get(after + u, left));
                    V to_h = get(dh + u, left), to_c = get(dc + u, left);
                    if (given) to_h += get(given + u, left);
                    if (given_cell) to_c += get(given_cell + u, left);
                    to_c += to_h * o * (1.0f - squeezed * squeezed);
                    put_and_add(d_gate + u, sum + u, to_c * g * i * (1.0f - i), left);
                    put_and_add(d_gate + units + u, sum + units + u, to_c * get(before + u, left) * f * (1.0f - f), left);
                    put_and_add(d_gate + 2 * units + u, sum + 2 * units + u, to_c * i * (1.0f - g * g), left);
                    put_and_add(d_gate + 3 * units + u, sum + 3 * units + u, to_h * squeezed * o * (1.0f - o), left);
                    put(dc + u, to_c * f, left);
                }
            }
            multiply(rows, d_gates + (t * batch + mine.first) * width, width, width, packed, units,
                     d_h + mine.first * units, units, false);
        }
    });
}

// --- GRU, reset gate after the product ----------------------------------------------------

// gates (time, batch, 3 units): comes as the projected inputs, leaves as z, r, candidate.
// inner (time, batch, units) becomes the recurrent part of the candidate before the reset gate.
int gru_forward(int threads, Size time, Size batch, Size units, const float* recurrent_kernel,
                const float* recurrent_bias, float* gates, float* inner, float* outputs) {
    Size width = 3 * units;
    int memory = 0;
    int failed = run_rows(threads, batch, units, units, width, recurrent_kernel, width, 1, [=, &memory](Share mine, const float* packed) {
        Size rows = mine.last - mine.first;
        static thread_local Scratch scratch;
        float* sums = scratch.floats(rows * width);
        if (!sums) {
            memory = 1;
            return;
        }
        for (Size t = 0; t < time; t++) {
            const float* h = outputs + (t * batch + mine.first) * units;
            float* h_new = outputs + ((t + 1) * batch + mine.first) * units;
            float* gate = gates + (t * batch + mine.first) * width;
            float* kept = inner + (t * batch + mine.first) * units;
            multiply(rows, h, units, units, packed, width, sums, width, false);
            const float* sum = sums;
            for (Size row = 0; row < rows; row++, sum += width, gate += width, kept += units, h += units, h_new += units)
                for (Size u = 0; u < units; u += LANES) {
                    Size left = units - u;
                    V sum_z = get(sum + u, left), sum_r = get(sum + units + u, left);
                    V part = get(sum + 2 * units + u, left);
                    if (recurrent_bias) {
                        sum_z += get(recurrent_bias + u, left);
                        sum_r += get(recurrent_bias + units + u, left);
                        part += get(recurrent_bias + 2 * units + u, left);
                    }
                    V z = sigmoid(get(gate + u, left) + sum_z), r = sigmoid(get(gate + units + u, left) + sum_r);
                    V candidate = tanh(get(gate + 2 * units + u, left) + r * part);
                    put(gate + u, z, left);
                    put(gate + units + u, r, left);
                    put(gate + 2 * units + u, candidate, left);
                    put(kept + u, part, left);
                    put(h_new + u, candidate + z * (get(h + u, left) - candidate), left);
                }
        }
    });
    return failed || memory;
}

// d_gates (time, batch, 4 units) becomes the gradients of: the candidate's recurrent part, z, r, its input part.
int gru_backward(int threads, Size time, Size batch, Size units, const float* recurrent_kernel, const float* gates,
                 const float* inner, const float* outputs, const float* d_outputs, Size by_time, Size by_sample,
                 float* d_gates, float* d_bias, float* d_h) {
    Size width = 3 * units, d_width = 4 * units;
    // Rows of the transposed recurrent kernel in the order candidate, z, r.
    float* turned = static_cast<float*>(std::malloc(size_t(width * units + 1) * 4));
    if (!turned) return 1;
    for (Size k = 0; k < units; k++) {
        std::memcpy(turned + k * width, recurrent_kernel + k * width + 2 * units, size_t(units) * 4);
        std::memcpy(turned + k * width + units, recurrent_kernel + k * width, size_t(2 * units) * 4);
    }
    int failed = run_rows(threads, batch, units, width, units, turned, 1, width, [=](Share mine, const float* packed) {
        Size rows = mine.last - mine.first;
        float* sum = d_bias + mine.thread * d_width;
        for (Size t = time - 1; t >= 0; t--) {
            for (Size sample = mine.first; sample < mine.last; sample++) {
                const float* gate = gates + (t * batch + sample) * width;
                const float* part = inner + (t * batch + sample) * units;
                const float* before = outputs + (t * batch + sample) * units;
                const float* given = d_outputs ? d_outputs + t * by_time + sample * by_sample : nullptr;
                float *d = d_gates + (t * batch + sample) * d_width, *dh = d_h + sample * units;
                for (Size u = 0; u < units; u += LANES) {
                    Size left = units - u;
                    V z = get(gate + u, left), r = get(gate + units + u, left), g = get(gate + 2 * units + u, left);
                    V to_h = get(dh + u, left);
                    if (given) to_h += get(given + u, left);
                    V to_g = to_h * (1.0f - z) * (1.0f - g * g);
                    V to_z = to_h * (get(before + u, left) - g) * z * (1.0f - z);
                    put_and_add(d + u, sum + u, to_g * r, left);
                    put_and_add(d + units + u, sum + units + u, to_z, left);
                    put_and_add(d + 2 * units + u, sum + 2 * units + u, to_g * get(part + u, left) * r * (1.0f - r), left);
                    put_and_add(d + 3 * units + u, sum + 3 * units + u, to_g, left);
                    put(dh + u, to_h * z, left);
                }
            }
            multiply(rows, d_gates + (t * batch + mine.first) * d_width, d_width, width, packed, units,
                     d_h + mine.first * units, units, true);
        }
    });
    std::free(turned);
    return failed;
}

// --- simple recurrent network --------------------------------------------------------------

// outputs (time + 1, batch, units): the initial state, then the projected inputs, which become the outputs.
int simple_rnn_forward(int threads, Size time, Size batch, Size units, int relu, const float* recurrent_kernel,
                       float* outputs) {
    return run_rows(threads, batch, units, units, units, recurrent_kernel, units, 1, [=](Share mine, const float* packed) {
        Size rows = mine.last - mine.first;
        for (Size t = 0; t < time; t++) {
            float* h = outputs + (t * batch + mine.first) * units;
            float* h_new = h + batch * units;
            multiply(rows, h, units, units, packed, units, h_new, units, true);
            for (Size n = 0; n < rows * units; n += LANES) {
                Size left = rows * units - n;
                V sum = get(h_new + n, left);
                put(h_new + n, relu ? (sum < 0.0f ? V{} : sum) : tanh(sum), left);
            }
        }
    });
}

int simple_rnn_backward(int threads, Size time, Size batch, Size units, int relu, const float* recurrent_kernel,
                        const float* outputs, const float* d_outputs, Size by_time, Size by_sample, float* d_sums,
                        float* d_bias, float* d_h) {
    return run_rows(threads, batch, units, units, units, recurrent_kernel, 1, units, [=](Share mine, const float* packed) {
        Size rows = mine.last - mine.first;
        float* sum = d_bias + mine.thread * units;
        for (Size t = time - 1; t >= 0; t--) {
            for (Size sample = mine.first; sample < mine.last; sample++) {
                const float* h = outputs + ((t + 1) * batch + sample) * units;
                const float* given = d_outputs ? d_outputs + t * by_time + sample * by_sample : nullptr;
                float *d = d_sums + (t * batch + sample) * units, *dh = d_h + sample * units;
                for (Size u = 0; u < units; u += LANES) {
                    Size left = units - u;
                    V out = get(h + u, left), to_h = get(dh + u, left);
                    if (given) to_h += get(given + u, left);
                    put_and_add(d + u, sum + u, relu ? (out <= 0.0f ? V{} : to_h) : to_h * (1.0f - out * out), left);
                }
            }
            multiply(rows, d_sums + (t * batch + mine.first) * units, units, units, packed, units,
                     d_h + mine.first * units, units, false);
        }
    });
}

// --- splitting work ----------------------------------------------------------------------

// Calls work(first, last) for parts of `count`, in as many threads as the work is worth.
template <typename Work>
inline void split(int threads, Size count, Size work_per_item, Work work) {
    Size worth = count * work_per_item / 16384;
    if (threads > worth) threads = int(worth);
    if (threads <= 1) {
        if (count) work(Size(0), count);
        return;
    }
#pragma omp parallel num_threads(threads)
    {
        Share mine(count, team_size(), this_thread());
        if (mine.first < mine.last) work(mine.first, mine.last);
    }
}

// --- dropout -----------------------------------------------------------------------------

inline VU lane_numbers() {
    VU numbers;
    for (int n = 0; n < LANES; n++) numbers[n] = uint32_t(n);
    return numbers;
}

// A 32-bit hash of each place and the mixed seed: two rounds of xor, shift and multiply (constants: C. Wellons, T. Ettinger).
inline VU scattered(Size place, Size seed) {
    VU x = lane_numbers() + uint32_t(place) + uint32_t(seed);
    x = (x ^ (x >> 16)) * 0x21f0aaadu;
    x = x ^ uint32_t(uint64_t(seed) >> 32) ^ uint32_t(uint64_t(place) >> 32);
    x = (x ^ (x >> 15)) * 0xd35a2d97u;
    return x ^ (x >> 15);
}

// The factor of each number: `scale` where it is kept, 0 where it is dropped.
inline V kept(Size place, Size seed, uint32_t dropped, float scale) {
    return scattered(place, seed) >= dropped ? V{} + scale : V{};
}

template <typename Number>
int dropout(int threads, Size count, Size seed, Size dropped, double scale, const Number* from, Number* to) {
    uint32_t limit = uint32_t(dropped);
    float factor = float(scale);
    seed = mixed(seed);
    split(threads, (count + LANES - 1) / LANES, 2 * LANES, [=](Size first, Size last) {
        for (Size n = first * LANES; n < smaller(last * LANES, count); n += LANES)
            put(to + n, get(from + n, count - n) * kept(n, seed, limit, factor), count - n);
    });
    return 0;
}

// --- bias, activation and dropout, there and back --------------------------------------------

struct Ending {  // how a layer ends
    int activation;
    Size seed;
    uint32_t dropped;
    float scale;
};

// In bfloat16 each step of a layer rounds its result.
inline V as(const float*, V v) { return v; }
inline V as(const Half*, V v) {
    VU bits = (VU)v;
    bits = (bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u;
    return v == v ? (V)bits : v;
}

// `y` may be `sums`.
template <int ACTIVATION, bool DROPS, typename Number>
inline void activate_rows(Size first, Size last, Size columns, Ending ending, const float* bias, const float* sums,
                          Number* y) {
    for (Size row = first; row < last; row++)
        by_vectors(0, columns, [&](Size n, Size left) {
            Size at = row * columns + n;
            V v = get(sums + at, left);
            if (bias) v += as(y, get(bias + n, left));
            if (ACTIVATION == RELU) v = v < 0.0f ? V{} : v;
            if (ACTIVATION == TANH) v = tanh(as(y, v));
            if (ACTIVATION == SIGMOID) v = sigmoid(as(y, v));
            if (DROPS) v = as(y, v) * kept(at, ending.seed, ending.dropped, ending.scale);
            put(y + at, v, left);
        });
}

// d becomes the gradient before the activation (it may be dy), d_bias its sum over the rows; for columns first to last.
template <int ACTIVATION, bool DROPS, typename Number>
inline void activate_back(Size first, Size last, Size rows, Size columns, Ending ending, const Number* y,
                          const float* dy, Number* d, float* d_bias) {
    if (d_bias)
        for (Size n = first; n < last; n++) d_bias[n] = 0;
    float undo = DROPS ? 1.0f / ending.scale : 1.0f;
    auto back = [&](Size at, Size left) {
        V v = get(dy + at, left);
        if (ACTIVATION == RELU) {
            // What was dropped is zero, like what relu cut off.
            v = get(y + at, left) <= 0.0f ? V{} : v;
            if (DROPS) v *= ending.scale;
        } else {
            if (DROPS) v *= kept(at, ending.seed, ending.dropped, ending.scale);
            if (ACTIVATION != LINEAR) {
                V out = get(y + at, left) * undo;
                v *= ACTIVATION == TANH ? 1.0f - out * out : out * (1.0f - out);
            }
        }
        if (ACTIVATION != LINEAR || DROPS || (const void*)d != (const void*)dy) put(d + at, v, left);
        return v;
    };
    // Rows in pairs: sums are fetched and kept half as often.
    Size row = 0;
    for (; row + 2 <= rows; row += 2)
        by_vectors(first, last, [&](Size n, Size left) {
            V one = back(row * columns + n, left), other = back((row + 1) * columns + n, left);
            if (d_bias) put(d_bias + n, get(d_bias + n, left) + one + other, left);
        });
    if (row < rows)
        by_vectors(first, last, [&](Size n, Size left) {
            V one = back(row * columns + n, left);
            if (d_bias) put(d_bias + n, get(d_bias + n, left) + one, left);
        });
}

template <int ACTIVATION, bool DROPS, typename Number>
int activate(int threads, Size rows, Size columns, Ending ending, const float* bias, const float* sums, Number* y) {
    split(threads, rows, columns * (ACTIVATION > RELU ? 8 : 2), [=](Size first, Size last) {
        activate_rows<ACTIVATION, DROPS>(first, last, columns, ending, bias, sums, y);
    });
    return 0;
}

template <int ACTIVATION, bool DROPS, typename Number>
int activate_backward(int threads, Size rows, Size columns, Ending ending, const Number* y, const float* dy, Number* d,
                      float* d_bias) {
    // By columns, so that each sum is in one hand.
    split(threads, (columns + LANES - 1) / LANES, rows * LANES * 2, [=](Size first, Size last) {
        activate_back<ACTIVATION, DROPS>(first * LANES, smaller(last * LANES, columns), rows, columns, ending, y, dy, d,
                                         d_bias);
    });
    return 0;
}

#define FOR_ENDING(function, ...)                                                                            \
    switch (ending.activation * 2 + (ending.dropped > 0)) {                                                  \
        case LINEAR * 2: return function<LINEAR, false>(__VA_ARGS__);                                        \
        case LINEAR * 2 + 1: return function<LINEAR, true>(__VA_ARGS__);                                     \
        case RELU * 2: return function<RELU, false>(__VA_ARGS__);                                            \
        case RELU * 2 + 1: return function<RELU, true>(__VA_ARGS__);                                         \
        case TANH * 2: return function<TANH, false>(__VA_ARGS__);                                            \
        case TANH * 2 + 1: return function<TANH, true>(__VA_ARGS__);                                         \
        case SIGMOID * 2: return function<SIGMOID, false>(__VA_ARGS__);                                      \
        default: return function<SIGMOID, true>(__VA_ARGS__);                                                \
    }

template <typename Number>
int activate_any(int threads, Size rows, Size columns, Ending ending, const float* bias, const float* sums, Number* y) {
    FOR_ENDING(activate, threads, rows, columns, ending, bias, sums, y)
}

template <typename Number>
int activate_backward_any(int threads, Size rows, Size columns, Ending ending, const Number* y, const float* dy,
                          Number* d, float* d_bias) {
    FOR_ENDING(activate_backward, threads, rows, columns, ending, y, dy, d, d_bias)
}

#undef FOR_ENDING

// --- the ends of convolutions: activation, pooling, dropout --------------------------------------

typedef uint8_t VB __attribute__((vector_size(LANES)));

enum { NOWHERE = 255 };  // nothing of this window came through: cut off by relu, or dropped

// What is done with windows of pixels that lie side by side; what is left over at the ends is not looked at.
struct Windows {
    Size tall, wide;  // of each
    Size columns;     // windows in a line of them
    Size channels;
    Size line;  // numbers from one line of pixels to the next
};

// What follows the greatest of a window: relu, and dropout with mixed seed.
struct AfterWindow {
    int relu;
    Size seed;
    uint32_t limit;
    float factor;
};

// The greatest of each window of a line of them, channel by channel, from the pixels that begin at `top`. `target` is
// the place of the first result among all; `where` gets the place in the window, or is null.
template <typename Number>
inline void pool_line(const Windows& w, const AfterWindow& after, const Number* top, Size target, Number* out,
                      uint8_t* where) {
    for (Size column = 0; column < w.columns; column++)
        for (Size n = 0; n < w.channels; n += LANES) {
            Size left = w.channels - n, at = column * w.channels + n;
            const Number* line = top + column * w.wide * w.channels + n;
            V best = get(line, left);
            VI place = {};
            int32_t k = 0;
            for (Size y = 0; y < w.tall; y++, line += w.line)
                for (Size across = y ? 0 : 1; across < w.wide; across++) {
                    V other = get(line + across * w.channels, left);
                    k++;
                    VI take = (other > best) | (other != other);  // NaN is greater than all, as in torch
                    best = take ? other : best;
                    place = take ? VI{} + k : place;
                }
            if (after.relu) {
                VI cut = best <= 0.0f;
                best = cut ? V{} : best;
                place = cut ? VI{} + int32_t(NOWHERE) : place;
            }
            if (after.limit) {
                VI gone = scattered(target + at, after.seed) < after.limit;
                best = gone ? V{} : best * after.factor;
                place = gone ? VI{} + int32_t(NOWHERE) : place;
            }
            put(out + at, best, left);
            if (!where) continue;
            VB bytes = __builtin_convertvector(place, VB);
            std::memcpy(where + at, &bytes, size_t(smaller(left, LANES)));
        }
}

// x (samples, height, width, channels)
template <typename Number>
int pool(int threads, Size samples, Size height, Size width, Size channels, Size tall, Size wide, int relu, Size seed,
         Size dropped, double scale, const Number* x, Number* out, uint8_t* where) {
    Size rows = height / tall, columns = width / wide;
    Windows windows = {tall, wide, columns, channels, width * channels};
    AfterWindow after = {relu, mixed(seed), uint32_t(dropped), float(scale)};
    split(threads, samples * rows, columns * channels * tall * wide, [=](Size first, Size last) {
        for (Size row = first; row < last; row++) {
            const Number* top = x + (row / rows * height + row % rows * tall) * width * channels;
            Size target = row * columns * channels;
            pool_line(windows, after, top, target, out + target, where ? where + target : nullptr);
        }
    });
    return 0;
}

// A line of windows gets dy times `factor` at the places that came through and zero elsewhere; `sum` gets the sums.
template <typename Number>
inline void pool_line_backward(const Windows& w, float factor, const Number* dy, const uint8_t* where, Number* top,
                               float* sum) {
    for (Size column = 0; column < w.columns; column++)
        for (Size n = 0; n < w.channels; n += LANES) {
            Size left = w.channels - n, source = column * w.channels + n;
            Number* line = top + column * w.wide * w.channels + n;
            VB bytes = {};
            std::memcpy(&bytes, where + source, size_t(smaller(left, LANES)));
            VI place = __builtin_convertvector(bytes, VI);
            V d = get(dy + source, left) * factor;
            int32_t k = 0;
            for (Size inside = 0; inside < w.tall; inside++, line += w.line)
                for (Size across = 0; across < w.wide; across++, k++)
                    put(line + across * w.channels, place == k ? d : V{}, left);
            put(sum + n, get(sum + n, left) + (place == int32_t(NOWHERE) ? V{} : d), left);
        }
}

// sums (threads x channels, zeros before) gets the sum over all pixels.
template <typename Number>
int pool_backward(int threads, Size samples, Size height, Size width, Size channels, Size tall, Size wide, double scale,
                  const Number* dy, const uint8_t* where, Number* dx, float* sums) {
    Size rows = height / tall, columns = width / wide;
    Windows windows = {tall, wide, columns, channels, width * channels};
    split(threads, samples * rows, columns * channels * tall * wide, [=](Size first, Size last) {
        float* sum = sums + this_thread() * channels;
        for (Size row = first; row < last; row++) {
            Size y = row % rows * tall, below = row % rows == rows - 1 ? height : y + tall;
            Number* top = dx + (row / rows * height + y) * width * channels;
            Size source = row * columns * channels;
            pool_line_backward(windows, float(scale), dy + source, where + source, top, sum);
            // What no window covers.
            for (Size line = 0; line < tall; line++)
                std::memset(top + (line * width + columns * wide) * channels, 0,
                            size_t((width - columns * wide) * channels) * sizeof(Number));
            std::memset(top + tall * width * channels, 0, size_t((below - y - tall) * width * channels) * sizeof(Number));
        }
    });
    return 0;
}

// Copies `count` numbers; with relu, what is not above zero becomes zero.
template <typename Number>
inline void rectified(const Number* from, Size count, int relu, Number* to) {
    for (Size n = 0; n < count; n += LANES) {
        V v = get(from + n, count - n);
        put(to + n, relu ? (v <= 0.0f ? V{} : v) : v, count - n);
    }
}

// A line of `places`: dx = dy where y, if it is given, is above zero, else zero; `sum` gets the sums over the places.
template <typename Number>
inline void rectified_backward(const Number* y, const Number* dy, Size places, Size channels, Number* dx, float* sum) {
    for (Size at = 0; at < places * channels; at += channels)
        for (Size n = 0; n < channels; n += LANES) {
            Size left = channels - n;
            V d = get(dy + at + n, left);
            if (y) d = get(y + at + n, left) <= 0.0f ? V{} : d;
            put(dx + at + n, d, left);
            put(sum + n, get(sum + n, left) + d, left);
        }
}

// dx = dy where y is above zero, else zero; sums (threads x columns, zeros before) gets the sums over the rows.
template <typename Number>
int relu_backward(int threads, Size rows, Size columns, const Number* y, const Number* dy, Number* dx, float* sums) {
    split(threads, rows, columns * 2, [=](Size first, Size last) {
        Size at = first * columns;
        rectified_backward(y + at, dy + at, last - first, columns, dx + at, sums + this_thread() * columns);
    });
    return 0;
}

#include "few_channels.h"
#include "few_rows.h"
#include "resize.h"

// --- softmax and cross-entropy -----------------------------------------------------------------

// Of `classes` numbers: the greatest, and the first place where it stands. NaN is the greatest of all, as in torch.
inline float greatest(const float* x, Size classes, Size* where) {
    float best = x[0];
    *where = 0;
    for (Size n = 1; n < classes && best == best; n++)
        if (x[n] > best || x[n] != x[n]) {
            best = x[n];
            *where = n;
        }
    return best;
}

// e to the (x - most) for a row, written to `to` (which may be x); returns the sum.
inline float exponentials(const float* x, Size classes, float most, float* to) {
    float sum = 0;
    for (Size n = 0; n < classes; n += LANES) {
        Size left = smaller(classes - n, LANES);
        V e = exponential(get(x + n, classes - n) - most);
        put(to + n, e, classes - n);
        for (Size lane = 0; lane < left; lane++) sum += e[lane];
    }
    return sum;
}

int softmax(int threads, Size rows, Size classes, float* x) {
    split(threads, rows, classes * 8, [=](Size first, Size last) {
        for (Size row = first; row < last; row++) {
            float* at = x + row * classes;
            Size where;
            float sum = exponentials(at, classes, greatest(at, classes, &where), at);
            for (Size n = 0; n < classes; n++) at[n] /= sum;
        }
    });
    return 0;
}

// The mean of -log(probability of the label), its gradient with respect to the sums before the softmax, and how many
// rows have their greatest number at the label. loss_total gets rows times the mean, right_total the number of right
// rows; either may be null.
// From probabilities the share is cut to [1e-7, 1 - 1e-7], and no gradient flows where it was cut, as in Keras.
int crossentropy(bool from_logits, Size rows, Size classes, const float* x, const int64_t* labels,
                 float* d_x, float* loss_total, float* right_total) {
    double loss = 0, product = 1;  // the sum of logarithms is the logarithm of the product
    Size right = 0;
    int out_of_range = 0;
    for (Size row = 0; row < rows; row++) {
        const float* at = x + row * classes;
        float* d = d_x + row * classes;
        Size label = labels[row], where;
        if (label < 0 || label >= classes) {
            out_of_range = 1;
            break;
        }
        float most = greatest(at, classes, &where);
        right += where == label;
        if (from_logits) {
            float sum = exponentials(at, classes, most, d);
            product *= double(sum);
            loss -= double(at[label] - most);
            float scale = 1.0f / (sum * float(rows));
            for (Size n = 0; n < classes; n++) d[n] *= scale;
            d[label] -= 1.0f / float(rows);
        } else {
            float sum = 0;
            for (Size n = 0; n < classes; n++) sum += at[n];
            float share = at[label] / sum, low = 1e-7f, high = 1.0f - 1e-7f;
            float cut = share < low ? low : share > high ? high : share;
            product /= double(cut);
            float scale = cut == share || share != share ? 1.0f / (sum * float(rows)) : 0.0f;
            for (Size n = 0; n < classes; n++) d[n] = at[n] * scale;
            d[label] -= scale * sum;
        }
        if (product > 1e200) {
            loss += std::log(product);
            product = 1;
        }
    }
    loss += std::log(product);
    if (out_of_range) return LABEL_OUT_OF_RANGE;
    if (loss_total) *loss_total += float(loss / double(rows)) * float(rows);
    if (right_total) *right_total += float(right);
    return 0;
}

// --- Adam ----------------------------------------------------------------------------------------

// Keras's formula: w is multiplied by `keep` (weight decay), m and v become running means of g and its square, and
// w -= rate * m / (sqrt(v) + epsilon). Never inlined: whoever calls it gets the same roundings.
__attribute__((noinline)) void adam_numbers(const AdamSettings& settings, const AdamWeight& weight, Size first,
                                            Size last) {
    float a = float(settings.rate), b1 = float(1.0 - settings.beta_1), b2 = float(1.0 - settings.beta_2);
    float e = float(settings.epsilon), keep = float(settings.keep);
    const float* g = weight.g;
    float *w = weight.w, *m = weight.m, *v = weight.v;
    by_vectors(first, last, [=](Size n, Size left) {
        V gradient = get(g + n, left), mean = get(m + n, left), square = get(v + n, left);
        mean += (gradient - mean) * b1;
        square += (gradient * gradient - square) * b2;
        put(m + n, mean, left);
        put(v + n, square, left);
        put(w + n, get(w + n, left) * keep - a * mean / (root(square) + e), left);
    });
}

void adam_some(const AdamSettings& settings, const AdamWeight& weight, Size first, Size last) {
    TinyIsZero now;
    adam_numbers(settings, weight, first, last);
}

// Several weights, `sizes` numbers in each. Threads share all of them, cut where vectors end.
int adam(int threads, Size count, const Size* sizes, const AdamWeight* weights, const AdamSettings& settings) {
    Size vectors = 0;
    for (Size n = 0; n < count; n++) vectors += (sizes[n] + LANES - 1) / LANES;
    split(threads, vectors, LANES, [=, &settings](Size first, Size last) {
        Size before = 0;
        for (Size n = 0; n < count && before < last; n++) {
            Size mine = (sizes[n] + LANES - 1) / LANES, begin = first > before ? first - before : 0;
            if (begin < mine)
                adam_some(settings, weights[n], begin * LANES, smaller((last - before) * LANES, sizes[n]));
            before += mine;
        }
    });
    return 0;
}

// --- programs ----------------------------------------------------------------------------------------

// Up to so many multiplications the kernel below takes less time than a call of BLAS.
enum { FEW = 32768 };

// M rows of C and N vectors of its columns, the last of them cut to `mask`.
template <int M, int N>
inline void few_block(const float* a, Size a_row, Size a_column, Size inner, const float* b, Size b_row, Mask mask,
                      float* c, Size c_row) {
    V sum[M][N] = {};
    for (Size k = 0; k < inner; k++) {
        V right[N];
        for (int j = 0; j < N; j++)
            right[j] = j < N - 1 ? load(b + k * b_row + j * LANES) : load(b + k * b_row + j * LANES, mask);
        for (int i = 0; i < M; i++)
            for (int j = 0; j < N; j++) sum[i][j] += a[i * a_row + k * a_column] * right[j];
    }
    IN_REGISTERS for (int i = 0; i < M; i++)
        IN_REGISTERS for (int j = 0; j < N; j++) {
            float* target = c + i * c_row + j * LANES;
            if (j < N - 1)
                store(target, sum[i][j]);
            else
                store(target, sum[i][j], mask);
        }
}

template <int N>
void few_columns(Size rows, const float* a, Size a_row, Size a_column, Size inner, const float* b, Size columns, Size count,
                 float* c) {
    Mask mask = first_lanes(count - (N - 1) * LANES);
    Size row = 0;
    for (; row + ROWS <= rows; row += ROWS)
        few_block<ROWS, N>(a + row * a_row, a_row, a_column, inner, b, columns, mask, c + row * columns, columns);
    for (; row + 2 <= rows; row += 2)
        few_block<2, N>(a + row * a_row, a_row, a_column, inner, b, columns, mask, c + row * columns, columns);
    for (; row < rows; row++)
        few_block<1, N>(a + row * a_row, a_row, a_column, inner, b, columns, mask, c + row * columns, columns);
}

// Small matrices: no copies but of a transposed B.
int multiply_few(Size flags, Size rows, Size columns, Size inner, const float* a, const float* b, float* c) {
    Size a_row = flags & TRANSPOSE_A ? 1 : inner, a_column = flags & TRANSPOSE_A ? rows : 1;
    if (flags & TRANSPOSE_B) {
        static thread_local Scratch turned;
        float* straight = turned.floats(inner * columns + 1);  // room for nothing, too
        if (!straight) return NO_MEMORY;
        for (Size n = 0; n < columns; n++)
            for (Size k = 0; k < inner; k++) straight[k * columns + n] = b[n * inner + k];
        b = straight;
    }
    for (Size n = 0; n < columns; n += PANEL) {
        Size count = smaller(PANEL, columns - n);
        if (count > 2 * LANES)
            few_columns<3>(rows, a, a_row, a_column, inner, b + n, columns, count, c + n);
        else if (count > LANES)
            few_columns<2>(rows, a, a_row, a_column, inner, b + n, columns, count, c + n);
        else
            few_columns<1>(rows, a, a_row, a_column, inner, b + n, columns, count, c + n);
    }
    return 0;
}

// C (rows x columns) = A times B, either of which may be given transposed; all row by row.
int multiply_any(Size flags, Size rows, Size columns, Size inner, const float* a, const float* b, float* c) {
    Size a_row = flags & TRANSPOSE_A ? 1 : inner, a_column = flags & TRANSPOSE_A ? rows : 1;
    Size b_row = flags & TRANSPOSE_B ? 1 : columns, b_column = flags & TRANSPOSE_B ? inner : 1;
    if (rows * columns * inner <= FEW) return multiply_few(flags, rows, columns, inner, a, b, c);
    if (torch_gemm) {
        // To BLAS a matrix that lies row by row is a transposed one: C' = B' A'.
        int m = int(columns), n = int(rows), k = int(inner);
        int lead_b = int(flags & TRANSPOSE_B ? inner : columns), lead_a = int(flags & TRANSPOSE_A ? rows : inner);
        float one = 1, zero = 0;
        torch_gemm(flags & TRANSPOSE_B ? "T" : "N", flags & TRANSPOSE_A ? "T" : "N", &m, &n, &k, &one, b, &lead_b, a,
                   &lead_a, &zero, c, &m);
        return 0;
    }
    static thread_local Scratch scratch, turned;
    float* packed = scratch.floats(packed_size(inner, columns));
    if (!packed) return NO_MEMORY;
    pack(b, b_row, b_column, inner, columns, 0, (columns + PANEL - 1) / PANEL, packed);
    if (a_column != 1) {
        float* straight = turned.floats(rows * inner);
        if (!straight) return NO_MEMORY;
        for (Size row = 0; row < rows; row++)
            for (Size k = 0; k < inner; k++) straight[row * inner + k] = a[row * a_row + k * a_column];
        a = straight;
    }
    multiply(rows, a, inner, inner, packed, columns, c, columns, false);
    return 0;
}

// Copies numbers from one type to another.
template <typename From, typename To>
int convert(int threads, Size count, const From* from, To* to) {
    split(threads, (count + LANES - 1) / LANES, LANES, [=](Size first, Size last) {
        for (Size n = first * LANES; n < smaller(last * LANES, count); n += LANES)
            put(to + n, get(from + n, count - n), count - n);
    });
    return 0;
}

// What tiles compute, where there are none: the product of numbers rounded to bfloat16, in sums of floats.
int rounded_product(int threads, const Operation& one) {
    const Half* half = nullptr;
    Size rows = one.sizes[0], columns = one.sizes[1], inner = one.sizes[2], sizes[2] = {rows * inner, inner * columns};
    static thread_local Scratch scratch;
    float* rounded[2] = {scratch.floats(sizes[0] + sizes[1] + 1)};  // room for nothing, too
    if (!rounded[0]) return NO_MEMORY;
    rounded[1] = rounded[0] + sizes[0];
    for (int n = 0; n < 2; n++) {
        float* to = rounded[n];
        if (!(one.flags & (n ? WIDE_B : WIDE_A))) {
            convert(threads, sizes[n], static_cast<const Half*>(one.memory[n]), to);
            continue;
        }
        const float* from = static_cast<const float*>(one.memory[n]);
        split(threads, (sizes[n] + LANES - 1) / LANES, LANES, [=](Size first, Size last) {
            by_vectors(first * LANES, smaller(last * LANES, sizes[n]),
                       [=](Size k, Size left) { put(to + k, as(half, get(from + k, left)), left); });
        });
    }
    Size flags = one.flags & (TRANSPOSE_A | TRANSPOSE_B), count = rows * columns;
    int failed = multiply_any(flags, rows, columns, inner, rounded[0], rounded[1], static_cast<float*>(one.memory[2]));
    const AdamWeight* weight = static_cast<const AdamWeight*>(one.memory[3]);
    if (failed || !weight) return failed;
    return adam(threads, 1, &count, weight, *static_cast<const AdamSettings*>(one.memory[4]));
}

// Adds a number per column (or nothing), and rounds to what bfloat16 can hold.
int add_and_round(int threads, Size rows, Size columns, const float* add, float* x) {
    const Half* half = nullptr;
    split(threads, rows, columns * 2, [=](Size first, Size last) {
        for (Size row = first; row < last; row++)
            for (Size n = 0; n < columns; n += LANES) {
                Size left = columns - n;
                V v = get(x + row * columns + n, left);
                if (add) v += as(half, get(add + n, left));
                put(x + row * columns + n, as(half, v), left);
            }
    });
    return 0;
}

int adam_one(int threads, Size size, void* const* memory) {
    AdamWeight weight = {static_cast<float*>(memory[0]), static_cast<const float*>(memory[1]),
                         static_cast<float*>(memory[2]), static_cast<float*>(memory[3])};
    return adam(threads, 1, &size, &weight, *static_cast<const AdamSettings*>(memory[4]));
}

int run(int threads, const Operation* operations, Size count) {
    for (Size n = 0; n < count; n++) {
        const Operation& one = operations[n];
        const int64_t* size = one.sizes;
        float* memory[5];
        for (int k = 0; k < 5; k++) memory[k] = static_cast<float*>(one.memory[k]);
        Ending ending = {int(one.flags), mixed(size[2]), uint32_t(size[3]), float(one.scale)};
        int failed = 0;
        switch (one.code) {
            case MULTIPLY:
                failed = multiply_any(one.flags, size[0], size[1], size[2], memory[0], memory[1], memory[2]);
                break;
            case ACTIVATE:
                failed = activate_any(threads, size[0], size[1], ending, memory[0], memory[1], memory[1]);
                break;
            case ACTIVATE_BACKWARD:
                failed = activate_backward_any(threads, size[0], size[1], ending, memory[0], memory[1], memory[1],
                                               memory[2]);
                break;
            case PRODUCT:
                failed = has_tiles() ? product_of_halves(threads, one) : rounded_product(threads, one);
                break;
            case ACTIVATE_HALF:
                failed = activate_any(threads, size[0], size[1], ending, memory[0], memory[1],
                                      static_cast<Half*>(one.memory[2]));
                break;
            case ACTIVATE_BACKWARD_HALF:
                failed = activate_backward_any(threads, size[0], size[1], ending,
                                               static_cast<const Half*>(one.memory[0]), memory[1],
                                               static_cast<Half*>(one.memory[2]), memory[3]);
                break;
            case ROUND: failed = add_and_round(threads, size[0], size[1], memory[0], memory[1]); break;
            case NARROW: failed = convert(threads, size[0], memory[0], static_cast<Half*>(one.memory[1])); break;
            case WIDEN: failed = convert(threads, size[0], static_cast<const Half*>(one.memory[0]), memory[1]); break;
            case SOFTMAX: failed = softmax(threads, size[0], size[1], memory[0]); break;
            case CROSSENTROPY:
                failed = crossentropy(one.flags == FROM_LOGITS, size[0], size[1], memory[0],
                                      static_cast<const int64_t*>(one.memory[1]), memory[2], memory[3],
                                      memory[4]);
                break;
            case ADAM:
                failed = adam_one(threads, size[0], one.memory);
                break;
            default: failed = NO_SUCH_OPERATION;
        }
        if (failed) return failed;
    }
    return 0;
}

// --- many networks at once ------------------------------------------------------------------------------

// Copies the samples of a batch together; returns which of the two programs is for so many.
int gather(const Fed& from, const int64_t* order, Size begin) {
    Size count = smaller(from.batch, from.samples - begin);
    for (Size n = 0; n < count; n++) {
        Size row = order ? order[begin + n] : begin + n;
        if (from.rows) row = from.rows[row];
        const float* source = from.x + row * from.features;
        float* target = from.x_batch + n * from.features;
        if (from.features <= LANES)  // a call of memcpy takes longer than this
            for (Size k = 0; k < from.features; k++) target[k] = source[k];
        else
            std::memcpy(target, source, size_t(from.features) * 4);
        from.y_batch[n] = from.y[row];
    }
    return count < from.batch;
}

int try_out(const Fed& held) {
    held.totals[0] = held.totals[1] = 0;
    for (Size begin = 0; begin < held.samples; begin += held.batch) {
        int which = gather(held, nullptr, begin);
        int failed = run(1, held.programs[which], held.lengths[which]);
        if (failed) return failed;
    }
    return 0;
}

int train_one(const Training& one) {
    const Fed& learned = one.learned;
    Size steps = (learned.samples + learned.batch - 1) / learned.batch;
    for (Size step = one.first; step < one.last; step++) {
        Size epoch = step / steps, place = step % steps;
        if (place == 0 && one.random) {
            learned.totals[0] = learned.totals[1] = 0;
            if (one.order) one.random->shuffle(learned.samples, one.order);
        }
        int which = gather(learned, one.order, place * learned.batch);
        Operation* program = learned.programs[which];
        for (Size n = 0; n < one.dropout_count; n++) {
            const Dropped& dropout = one.dropouts[n];
            Size seed = dropout.random ? dropout.random->seed() : one.seeds[step * one.dropout_count + n];
            for (int64_t operation : dropout.operations[which]) program[operation].sizes[2] = seed;
        }
        const double* correction = one.corrections + 2 * (one.done + step + 1);
        double rate = one.rates ? one.rates[step] : one.rate;
        one.settings[0] = rate * correction[0] / correction[1];
        one.settings[4] = 1.0 - one.decay * rate;
        int failed = run(1, program, learned.lengths[which]);
        if (failed) return failed;
        if (place < steps - 1 || !one.log) continue;
        float* log = one.log + 4 * epoch;
        std::memcpy(log, learned.totals, 8);
        if (!one.held.samples) continue;
        failed = try_out(one.held);
        if (failed) return failed;
        std::memcpy(log + 2, one.held.totals, 8);
    }
    return 0;
}

int train_many(int threads, Training* networks, Size count) {
    int failed = 0;
#pragma omp parallel for num_threads(threads) schedule(dynamic) reduction(| : failed)
    for (Size n = 0; n < count; n++) failed |= networks[n].failed = train_one(networks[n]);
    return failed;
}

// --- batch normalization with what follows it: a shortcut added, relu, dropout -----------------------

struct After {  // what follows a normalization
    int relu;
    Size seed;
    uint32_t dropped;
    float scale;
};

// Mean and sum of squared distances from it, per channel, of rows first to last: block by block, each block read
// twice while it is near, joined as by Chan et al., "Updating formulae and a pairwise algorithm for computing sample
// variances", 1979. Nothing is lost where the mean is large beside the spread.
template <typename Number>
void moments_of(Size first, Size last, Size channels, const Number* x, float* mean, float* square) {
    for (Size n = 0; n < channels; n++) mean[n] = square[n] = 0;
    Size deep = 4096 / channels < 8 ? 8 : 4096 / channels;
    for (Size begin = first; begin < last; begin += deep) {
        Size count = smaller(deep, last - begin);
        float whole = float(begin - first + count), share = float(count) / whole;
        for (Size n = 0; n < channels; n += LANES) {
            Size left = channels - n;
            const Number* at = x + begin * channels + n;
            V sum[4] = {}, far[4] = {};
            Size row = 0;
            for (; row + 4 <= count; row += 4)
                for (int k = 0; k < 4; k++) sum[k] += get(at + (row + k) * channels, left);
            for (; row < count; row++) sum[0] += get(at + row * channels, left);
            V middle = ((sum[0] + sum[1]) + (sum[2] + sum[3])) * (1.0f / float(count));
            for (row = 0; row + 4 <= count; row += 4)
                for (int k = 0; k < 4; k++) {
                    V d = get(at + (row + k) * channels, left) - middle;
                    far[k] += d * d;
                }
            for (; row < count; row++) {
                V d = get(at + row * channels, left) - middle;
                far[0] += d * d;
            }
            V step = middle - get(mean + n, left);
            V more = ((far[0] + far[1]) + (far[2] + far[3])) + step * step * (share * (whole - float(count)));
            put(mean + n, get(mean + n, left) + step * share, left);
            put(square + n, get(square + n, left) + more, left);
        }
    }
}

// Adds what was found in `more` rows to what was found in `count`.
inline void join(Size channels, float* mean, float* square, Size count, const float* other, const float* other_square,
                 Size more) {
    float share = float(more) / float(count + more);
    for (Size n = 0; n < channels; n++) {
        float step = other[n] - mean[n];
        mean[n] += step * share;
        square[n] += other_square[n] + step * step * share * float(count);
    }
}

// How many rows are looked at as one, so that few channels fill whole vectors.
inline Size rows_as_one(Size rows, Size channels) {
    Size times = 1;
    while (channels < 8 * LANES && times * channels % LANES) times *= 2;
    return rows < 4 * times ? 1 : times;
}

inline const float* repeated(const float* from, Size channels, Size times, float* to) {
    for (Size k = 0; k < times; k++) std::memcpy(to + k * channels, from, size_t(channels) * 4);
    return times > 1 ? to : from;
}

inline Size parts_of(int threads, Size rows, Size channels) {
    Size parts = smaller(smaller(threads, rows), rows * channels / 16384);
    return parts < 1 ? 1 : parts;
}

// Of `rows` x channels. mean and deviation (channels each) get the mean and 1 / sqrt(variance + epsilon); the moving
// averages move. room: (threads + 1) x 2 x 16 x channels.
template <typename Number>
int batch_moments(int threads, Size rows, Size channels, double momentum, double epsilon, const Number* x,
                  float* moving_mean, float* moving_variance, float* mean, float* deviation, float* room) {
    Size times = rows_as_one(rows, channels), wide = channels * times, whole = rows / times, rest = whole * times;
    Size parts = parts_of(threads, whole, wide);
    split(threads, parts, whole / parts * wide, [=](Size first, Size last) {
        for (Size part = first; part < last; part++) {
            float *own = room + part * 2 * wide, *square = own + wide;
            Size begin = whole * part / parts, count = whole * (part + 1) / parts - begin;
            moments_of(begin, begin + count, wide, x, own, square);
            for (Size k = 1; k < times; k++)
                join(channels, own, square, k * count, own + k * channels, square + k * channels, count);
        }
    });
    float* square = room + wide;
    for (Size part = 1; part < parts; part++) {
        Size before = whole * part / parts, more = whole * (part + 1) / parts - before;
        const float* other = room + part * 2 * wide;
        join(channels, room, square, before * times, other, other + wide, more * times);
    }
    if (rest < rows) {
        float* other = room + parts * 2 * wide;
        moments_of(rest, rows, channels, x, other, other + wide);
        join(channels, room, square, rest, other, other + wide, rows - rest);
    }
    float keep = float(momentum), take = float(1.0 - momentum);
    for (Size n = 0; n < channels; n++) {
        float variance = square[n] / float(rows);
        mean[n] = room[n];
        deviation[n] = 1.0f / std::sqrt(variance + float(epsilon));
        moving_mean[n] = moving_mean[n] * keep + room[n] * take;
        moving_variance[n] = moving_variance[n] * keep + variance * take;
    }
    return 0;
}

inline V normalized(V x, V mean, V factor, V offset) { return (x - mean) * factor + offset; }

// y = (x - mean) * factor + offset, then what follows. shortcut may be null.
template <bool RELU_AFTER, bool DROPS, bool ADDS, typename Number>
void normalize_rows(Size first, Size last, Size channels, After after, const Number* x, const float* mean,
                    const float* factor, const float* offset, const Number* shortcut, Number* y) {
    for (Size row = first; row < last; row++)
        for (Size n = 0; n < channels; n += LANES) {
            Size left = channels - n, at = row * channels + n;
            V v = normalized(get(x + at, left), get(mean + n, left), get(factor + n, left), get(offset + n, left));
            if (ADDS) v += get(shortcut + at, left);
            if (RELU_AFTER) v = v < 0.0f ? V{} : v;
            if (DROPS) v *= kept(at, after.seed, after.dropped, after.scale);
            put(y + at, v, left);
        }
}

// The gradient of the normalized numbers from that of the result.
template <bool RELU_AFTER, bool DROPS, bool ADDS, typename Number>
inline V before_ending(Size at, Size left, After after, V d, V x, V mean, V factor, V offset, const Number* y) {
    if (DROPS) d *= kept(at, after.seed, after.dropped, after.scale);
    if (RELU_AFTER) d = (ADDS ? get(y + at, left) : normalized(x, mean, factor, offset)) <= 0.0f ? V{} : d;
    return d;
}

// Sums over rows first to last of the gradient d before what follows, and of d times the distance from the mean.
// d_shortcut gets d, if it is not null.
template <bool RELU_AFTER, bool DROPS, bool ADDS, typename Number>
void gradient_sums(Size first, Size last, Size channels, After after, const Number* x, const float* mean,
                   const float* factor, const float* offset, const Number* y, const Number* dy, Number* d_shortcut,
                   float* sum, float* product) {
    for (Size n = 0; n < channels; n++) sum[n] = product[n] = 0;
    Size deep = 4096 / channels < 8 ? 8 : 4096 / channels;
    for (Size begin = first; begin < last; begin += deep)
        for (Size n = 0; n < channels; n += LANES) {
            Size left = channels - n, end = smaller(begin + deep, last);
            V m = get(mean + n, left), f = get(factor + n, left), o = get(offset + n, left);
            V sums[2] = {}, products[2] = {};
            for (Size row = begin; row < end; row++) {
                Size at = row * channels + n;
                V v = get(x + at, left);
                V d = before_ending<RELU_AFTER, DROPS, ADDS>(at, left, after, get(dy + at, left), v, m, f, o, y);
                if (ADDS && d_shortcut) put(d_shortcut + at, d, left);
                V before[2] = {sums[1], products[1]};  // the two take turns
                sums[1] = sums[0] + d, products[1] = products[0] + d * (v - m);
                sums[0] = before[0], products[0] = before[1];
            }
            put(sum + n, get(sum + n, left) + (sums[0] + sums[1]), left);
            put(product + n, get(product + n, left) + (products[0] + products[1]), left);
        }
}

// dx = (d - mean of d - (x - mean) * slope) * factor
template <bool RELU_AFTER, bool DROPS, bool ADDS, typename Number>
void gradient_rows(Size first, Size last, Size channels, After after, const Number* x, const float* mean,
                   const float* factor, const float* offset, const Number* y, const Number* dy, const float* shift,
                   const float* slope, Number* dx) {
    for (Size row = first; row < last; row++)
        for (Size n = 0; n < channels; n += LANES) {
            Size left = channels - n, at = row * channels + n;
            V v = get(x + at, left), m = get(mean + n, left), f = get(factor + n, left), o = get(offset + n, left);
            V d = before_ending<RELU_AFTER, DROPS, ADDS>(at, left, after, get(dy + at, left), v, m, f, o, y);
            put(dx + at, (d - get(shift + n, left) - (v - m) * get(slope + n, left)) * f, left);
        }
}

#define FOR_AFTER(work)                                                            \
    switch (4 * (after.relu != 0) + 2 * (after.dropped > 0) + (shortcut != nullptr)) { \
        case 0: work(false, false, false); break;                                  \
        case 1: work(false, false, true); break;                                   \
        case 2: work(false, true, false); break;                                   \
        case 3: work(false, true, true); break;                                    \
        case 4: work(true, false, false); break;                                   \
        case 5: work(true, false, true); break;                                    \
        case 6: work(true, true, false); break;                                    \
        default: work(true, true, true);                                           \
    }

// room: 3 x 16 x channels.
template <typename Number>
int normalize(int threads, Size rows, Size channels, After after, const Number* x, const float* mean,
              const float* factor, const float* offset, const Number* shortcut, Number* y, float* room) {
    after.seed = mixed(after.seed);
    Size times = rows_as_one(rows, channels), wide = channels * times, rest = rows / times * times;
    const float* m = repeated(mean, channels, times, room);
    const float* f = repeated(factor, channels, times, room + wide);
    const float* o = repeated(offset, channels, times, room + 2 * wide);
#define WORK(RELU_AFTER, DROPS, ADDS) \
    normalize_rows<RELU_AFTER, DROPS, ADDS>(first, last, wide, after, x, m, f, o, shortcut, y)
    split(threads, rows / times, wide * 2, [=](Size first, Size last) { FOR_AFTER(WORK) });
#undef WORK
#define WORK(RELU_AFTER, DROPS, ADDS) \
    normalize_rows<RELU_AFTER, DROPS, ADDS>(rest, rows, channels, after, x, mean, factor, offset, shortcut, y)
    if (rest < rows) FOR_AFTER(WORK)
#undef WORK
    return 0;
}

// y is what `normalize` gave, where it got a shortcut, else null. d_shortcut and dx may be null; d_gamma and d_beta are
// filled. room: (threads + 4) x 2 x 16 x channels.
template <typename Number>
int normalize_backward(int threads, Size rows, Size channels, After after, const Number* x, const float* mean,
                       const float* deviation, const float* factor, const float* offset, const Number* y,
                       const Number* dy, Number* d_shortcut, Number* dx, float* d_gamma, float* d_beta, float* room) {
    const Number* shortcut = y;
    after.seed = mixed(after.seed);
    Size times = rows_as_one(rows, channels), wide = channels * times, whole = rows / times, rest = whole * times;
    Size parts = parts_of(threads, whole, wide);
    const float* m = repeated(mean, channels, times, room);
    const float* f = repeated(factor, channels, times, room + wide);
    const float* o = repeated(offset, channels, times, room + 2 * wide);
    float *shift = room + 3 * wide, *slope = room + 4 * wide, *sums = room + 5 * wide;
#define WORK(RELU_AFTER, DROPS, ADDS)                                                                                \
    gradient_sums<RELU_AFTER, DROPS, ADDS>(whole * part / parts, whole * (part + 1) / parts, wide, after, x, m, f, o, y, \
                                           dy, d_shortcut, own, own + wide)
    split(threads, parts, whole / parts * wide, [=](Size first, Size last) {
        for (Size part = first; part < last; part++) {
            float* own = sums + part * 2 * wide;
            FOR_AFTER(WORK)
        }
    });
#undef WORK
    for (Size n = 0; n < channels; n++) {
        d_beta[n] = d_gamma[n] = 0;
        for (Size k = n; k < parts * 2 * wide; k += channels) (k / wide % 2 ? d_gamma : d_beta)[n] += sums[k];
    }
    if (rest < rows) {
#define WORK(RELU_AFTER, DROPS, ADDS)                                                                           \
    gradient_sums<RELU_AFTER, DROPS, ADDS>(rest, rows, channels, after, x, mean, factor, offset, y, dy, d_shortcut, \
                                           sums, sums + channels)
        FOR_AFTER(WORK)
#undef WORK
        for (Size n = 0; n < channels; n++) d_beta[n] += sums[n], d_gamma[n] += sums[channels + n];
    }
    for (Size n = 0; n < channels; n++) {
        shift[n] = d_beta[n] / float(rows);
        slope[n] = d_gamma[n] / float(rows) * deviation[n] * deviation[n];
        d_gamma[n] *= deviation[n];
    }
    if (!dx) return 0;
    for (Size k = 1; k < times; k++) {
        std::memcpy(shift + k * channels, shift, size_t(channels) * 4);
        std::memcpy(slope + k * channels, slope, size_t(channels) * 4);
    }
    if (d_shortcut) {  // it holds the gradient before what follows
        dy = d_shortcut;
        shortcut = y = nullptr;
        after = {0, 0, 0, 1.0f};
    }
#define WORK(RELU_AFTER, DROPS, ADDS) \
    gradient_rows<RELU_AFTER, DROPS, ADDS>(first, last, wide, after, x, m, f, o, y, dy, shift, slope, dx)
    split(threads, whole, wide * 2, [=](Size first, Size last) { FOR_AFTER(WORK) });
#undef WORK
#define WORK(RELU_AFTER, DROPS, ADDS)                                                                           \
    gradient_rows<RELU_AFTER, DROPS, ADDS>(rest, rows, channels, after, x, mean, factor, offset, y, dy, shift, slope, \
                                           dx)
    if (rest < rows) FOR_AFTER(WORK)
#undef WORK
    return 0;
}

#undef FOR_AFTER

// --- the greatest over all steps of a convolution along a line -----------------------------------------

// y (samples, steps, channels): out gets the greatest over the steps, cut off at zero with relu. NaN is the greatest.
template <typename Number>
int greatest_step(int threads, Size samples, Size steps, Size channels, int relu, const Number* y, Number* out) {
    split(threads, samples, steps * channels, [=](Size first, Size last) {
        for (Size sample = first; sample < last; sample++)
            for (Size n = 0; n < channels; n += LANES) {
                Size left = channels - n;
                const Number* at = y + sample * steps * channels + n;
                V best = get(at, left);
                for (Size t = 1; t < steps; t++) {
                    V other = get(at + t * channels, left);
                    best = (other > best) | (other != other) ? other : best;
                }
                if (relu) best = best < 0.0f ? V{} : best;
                put(out + sample * channels + n, best, left);
            }
    });
    return 0;
}

// What slides over what, along a line.
struct Line {
    Size samples, steps, channels;     // of the results
    Size steps_in, channels_in;        // of the inputs
    Size width, stride, hole, padding;  // of the kernel; cells that were added before the first step
};

// Adds number * from to `to`.
template <typename Number>
inline void add_scaled(Size count, float number, const Number* from, float* to) {
    for (Size n = 0; n < count; n += LANES) put(to + n, get(to + n, count - n) + get(from + n, count - n) * number, count - n);
}

// The gradients of a convolution from that of its greatest step: of each channel of a sample only one step counts (or
// several equal ones, in equal parts, as in torch), so that no product of matrices is needed.
// weight, d_weight (channels, width, channels in); places: samples x channels x 2. dx may be null; d_weight comes as
// zeros; room: threads x steps_in x channels_in.
template <typename Number>
int greatest_step_backward(int threads, Line line, int relu, const Number* y, const Number* out, const Number* d_out,
                           const Number* x, const Number* weight, Number* dx, float* d_weight, int32_t* places,
                           float* room) {
    Size channels = line.channels, row = line.channels_in, window = line.width * row, whole = line.steps_in * row;
    // How many steps are the greatest, and which is the first.
    split(threads, line.samples, line.steps * channels, [=](Size first, Size last) {
        for (Size sample = first; sample < last; sample++)
            for (Size n = 0; n < channels; n += LANES) {
                Size left = channels - n, at = sample * channels + n;
                V best = get(out + at, left);
                VI count = {}, place = {};
                for (Size t = line.steps - 1; t >= 0; t--) {
                    VI same = get(y + (sample * line.steps + t) * channels + n, left) == best;
                    count -= same;
                    place = same ? VI{} + int32_t(t) : place;
                }
                if (relu) count = best <= 0.0f ? VI{} : count;
                for (Size lane = 0; lane < smaller(left, LANES); lane++) {
                    places[2 * (at + lane)] = count[lane];
                    places[2 * (at + lane) + 1] = place[lane];
                }
            }
    });
    // Calls add(share, step of the inputs, place in the kernel) for all that this channel of this sample looked at.
    auto look = [=](Size sample, Size channel, auto add) {
        Size at = sample * channels + channel;
        int32_t count = places[2 * at];
        if (!count) return;
        Number best = out[at], given = d_out[at];
        float share = get(&given, 1)[0] / float(count);
        for (Size t = places[2 * at + 1]; count; t++) {
            Number here = y[(sample * line.steps + t) * channels + channel];
            if (get(&here, 1)[0] != get(&best, 1)[0]) continue;
            count--;
            for (Size k = 0; k < line.width; k++) {
                Size from = t * line.stride + k * line.hole - line.padding;
                if (from >= 0 && from < line.steps_in) add(share, from, k);
            }
        }
    };
    split(threads, channels, line.samples * window, [=](Size first, Size last) {
        for (Size channel = first; channel < last; channel++)
            for (Size sample = 0; sample < line.samples; sample++)
                look(sample, channel, [=](float share, Size from, Size k) {
                    add_scaled(row, share, x + sample * whole + from * row, d_weight + channel * window + k * row);
                });
    });
    if (!dx) return 0;
    split(threads, line.samples, channels * window + whole, [=](Size first, Size last) {
        float* sums = room + this_thread() * whole;
        for (Size sample = first; sample < last; sample++) {
            std::memset(sums, 0, size_t(whole) * 4);
            for (Size channel = 0; channel < channels; channel++)
                look(sample, channel, [=](float share, Size from, Size k) {
                    add_scaled(row, share, weight + channel * window + k * row, sums + from * row);
                });
            for (Size n = 0; n < whole; n += LANES) put(dx + sample * whole + n, get(sums + n, whole - n), whole - n);
        }
    });
    return 0;
}

// --- dense layers ---------------------------------------------------------------------------------------

// y += bias, then relu; (rows x columns).
int add_and_rectify(int threads, Size rows, Size columns, const float* bias, float* y) {
    split(threads, rows, columns * 2, [=](Size first, Size last) {
        for (Size row = first; row < last; row++)
            for (Size n = 0; n < columns; n += LANES) {
                Size left = columns - n;
                float* at = y + row * columns + n;
                V v = get(at, left) + get(bias + n, left);
                put(at, v < 0.0f ? V{} : v, left);
            }
    });
    return 0;
}

// --- attention ------------------------------------------------------------------------------------------

// C (M rows x N vectors) = or += A times B. Element (i, k) of A is a[i * a_row + k * a_step]; the one of the two that is
// 1 is known when this is compiled: a_step, or, if A is turned, a_row.
template <int M, int N, bool TURNED>
inline void product_block(Size inner, const float* a, Size a_line, const float* b, Size b_row, float* c, Size c_row,
                          bool add) {
    V sum[M][N] = {};
    Size a_row = TURNED ? 1 : a_line;
    for (Size k = 0; k < inner; k++, a += TURNED ? a_line : 1, b += b_row) {
        V line[N];
        for (int j = 0; j < N; j++) line[j] = load(b + j * LANES);
        for (int i = 0; i < M; i++) {
            V one = everywhere(a[i * a_row]);
            for (int j = 0; j < N; j++) sum[i][j] += one * line[j];
        }
    }
    if (add)
        IN_REGISTERS for (int i = 0; i < M; i++)
            IN_REGISTERS for (int j = 0; j < N; j++) sum[i][j] += load(c + i * c_row + j * LANES);
    IN_REGISTERS for (int i = 0; i < M; i++)
        IN_REGISTERS for (int j = 0; j < N; j++) store(c + i * c_row + j * LANES, sum[i][j]);
}

// As many sums as there are registers for.
enum { TALL = LANES == 16 ? 6 : 3 };

template <int M, int N, bool TURNED>
inline void product_rows(Size rows, Size inner, const float* a, Size a_line, const float* b, Size b_row, float* c,
                         Size c_row, bool add) {
    Size row = 0, next = TURNED ? 1 : a_line;
    for (; row + M <= rows; row += M)
        product_block<M, N, TURNED>(inner, a + row * next, a_line, b, b_row, c + row * c_row, c_row, add);
    for (; M > 4 && row + 4 <= rows; row += 4)
        product_block<4, N, TURNED>(inner, a + row * next, a_line, b, b_row, c + row * c_row, c_row, add);
    for (; row + 2 <= rows; row += 2)
        product_block<2, N, TURNED>(inner, a + row * next, a_line, b, b_row, c + row * c_row, c_row, add);
    if (row < rows) product_block<1, N, TURNED>(inner, a + row * next, a_line, b, b_row, c + row * c_row, c_row, add);
}

// `columns` is a multiple of LANES. a_line: from row to row of A, or, if it is turned, from column to column.
template <bool TURNED>
inline void product(Size rows, Size columns, Size inner, const float* a, Size a_line, const float* b, Size b_row,
                    float* c, Size c_row, bool add) {
    Size n = 0;
    if (LANES == 16)  // fewer registers would not hold all sums and what they are made of
        for (; n + 4 * LANES <= columns; n += 4 * LANES)
            product_rows<TALL, 4, TURNED>(rows, inner, a, a_line, b + n, b_row, c + n, c_row, add);
    for (; n + 2 * LANES <= columns; n += 2 * LANES)
        product_rows<2 * TALL, 2, TURNED>(rows, inner, a, a_line, b + n, b_row, c + n, c_row, add);
    if (n < columns) product_rows<2 * TALL, 1, TURNED>(rows, inner, a, a_line, b + n, b_row, c + n, c_row, add);
}

inline Size whole_vectors(Size count) { return (count + LANES - 1) / LANES * LANES; }

// Copies rows of `columns` numbers, times a factor, to rows of `wide` floats with zeros at the end.
template <typename Number>
void spread(Size rows, Size columns, Size wide, const Number* from, Size from_row, float factor, float* to) {
    for (Size row = 0; row < rows; row++)
        by_vectors(0, columns, [=](Size n, Size left) {
            store(to + row * wide + n, get(from + row * from_row + n, left) * factor);
        });
}

// The other way round: numbers from the first `columns` of rows of `wide` floats, each row times a factor of its own.
template <typename Number>
void gather(Size rows, Size columns, Size wide, const float* from, const float* factors, float factor, Number* to,
            Size to_row) {
    for (Size row = 0; row < rows; row++) {
        float scale = factors ? factors[row] * factor : factor;
        by_vectors(0, columns, [=](Size n, Size left) {
            put(to + row * to_row + n, load(from + row * wide + n) * scale, left);
        });
    }
}

#if LANES == 16
// Exchanges rows and columns of 16 x 16 floats, written with `stride` floats from row to row.
inline void turn_square(const float* from, Size from_row, float* to, Size stride) {
    __m512 t[16], u[16];
    for (int n = 0; n < 16; n++) t[n] = _mm512_loadu_ps(from + n * from_row);
    for (int n = 0; n < 16; n += 2) {
        u[n] = _mm512_unpacklo_ps(t[n], t[n + 1]);
        u[n + 1] = _mm512_unpackhi_ps(t[n], t[n + 1]);
    }
    for (int n = 0; n < 16; n += 4)
        for (int k = 0; k < 2; k++) {
            t[n + 2 * k] = _mm512_shuffle_ps(u[n + k], u[n + k + 2], 0x44);
            t[n + 2 * k + 1] = _mm512_shuffle_ps(u[n + k], u[n + k + 2], 0xee);
        }
    for (int n = 0; n < 4; n++) {
        u[n] = _mm512_shuffle_f32x4(t[n], t[n + 4], 0x88);
        u[n + 4] = _mm512_shuffle_f32x4(t[n], t[n + 4], 0xdd);
        u[n + 8] = _mm512_shuffle_f32x4(t[n + 8], t[n + 12], 0x88);
        u[n + 12] = _mm512_shuffle_f32x4(t[n + 8], t[n + 12], 0xdd);
    }
    for (int n = 0; n < 8; n++) {
        _mm512_storeu_ps(to + n * stride, _mm512_shuffle_f32x4(u[n], u[n + 8], 0x88));
        _mm512_storeu_ps(to + (n + 8) * stride, _mm512_shuffle_f32x4(u[n], u[n + 8], 0xdd));
    }
}
#elif LANES == 8
// Exchanges rows and columns of 8 x 8 floats, written with `stride` floats from row to row.
inline void turn_square(const float* from, Size from_row, float* to, Size stride) {
    __m256 t[8], u[8];
    for (int n = 0; n < 8; n++) t[n] = _mm256_loadu_ps(from + n * from_row);
    for (int n = 0; n < 8; n += 2) {
        u[n] = _mm256_unpacklo_ps(t[n], t[n + 1]);
        u[n + 1] = _mm256_unpackhi_ps(t[n], t[n + 1]);
    }
    for (int n = 0; n < 8; n += 4)
        for (int k = 0; k < 2; k++) {
            t[n + 2 * k] = _mm256_shuffle_ps(u[n + k], u[n + k + 2], 0x44);
            t[n + 2 * k + 1] = _mm256_shuffle_ps(u[n + k], u[n + k + 2], 0xee);
        }
    for (int n = 0; n < 4; n++) {
        _mm256_storeu_ps(to + n * stride, _mm256_permute2f128_ps(t[n], t[n + 4], 0x20));
        _mm256_storeu_ps(to + (n + 4) * stride, _mm256_permute2f128_ps(t[n], t[n + 4], 0x31));
    }
}
#endif

// Rows of `wide` floats become columns: to[n * to_wide + row], zeros for rows that are missing.
inline void turn(Size rows, Size columns, Size wide, const float* from, float* to, Size to_wide) {
    Size done = 0;
#if LANES == 16 || LANES == 8
    if (columns % LANES == 0)
        for (; done + LANES <= rows; done += LANES)
            for (Size n = 0; n < columns; n += LANES)
                turn_square(from + done * wide + n, wide, to + n * to_wide + done, to_wide);
#endif
    for (Size n = 0; n < columns; n++) {
        for (Size row = done; row < rows; row++) to[n * to_wide + row] = from[row * wide + n];
        for (Size row = rows; row < to_wide; row++) to[n * to_wide + row] = 0;
    }
}

// Fills a table of `rows` x `width` with zeros, and adds row n of `from` to the row that `places[n]` names. A thread does
// the rows of the table that are its own, in the order of `places`, so that the sums are the same for all numbers of
// threads.
template <typename Place>
int add_rows(int threads, Size rows, Size width, Size count, const Place* places, const float* from, float* to) {
    split(threads, rows, width, [=](Size first, Size last) {
        std::memset(to + first * width, 0, size_t((last - first) * width) * 4);
        for (Size n = 0; n < count; n++) {
            Size row = Size(places[n]);
            if (row < first || row >= last) continue;
            const float* source = from + n * width;
            float* target = to + row * width;
            for (Size k = 0; k < width; k += LANES)
                put(target + k, get(target + k, width - k) + get(source + k, width - k), width - k);
        }
    });
    return 0;
}

#include "adam_rows.h"

struct Heads {
    Size batch, heads, queries, keys, width, width_out;  // width: features of query and key; width_out: of values
    float scale;
    int causal;
    // Distances from sample to sample, head to head, and step to step: of query, key, value and what comes back.
    const Size* strides;
};

// Queries lie side by side in the vectors, so that what softmax does over the keys needs no vector taken apart.
enum { SIDE_BY_SIDE = 64 };

inline VI sees(Size key, Size query) { return (VI)(lane_numbers() + uint32_t(query)) >= int32_t(key); }

// out (batch, queries, heads, width_out); sums (batch, heads, 2, queries) gets the greatest score of each query and
// 1 / sum of e to the (score - greatest).
template <typename Number>
int attention(int threads, Heads of, const Number* query, const Number* key, const Number* value, Number* out,
              float* sums) {
    Size wide = whole_vectors(of.width), wide_out = whole_vectors(of.width_out);
    int memory = 0;
    split(threads, of.batch * of.heads, of.queries * of.keys * (of.width + of.width_out), [=, &memory](Size first, Size last) {
        static thread_local Scratch scratch;
        float* k = scratch.floats(of.keys * (wide + wide_out + SIDE_BY_SIDE) +
                                  SIDE_BY_SIDE * (wide + of.width + wide_out));
        if (!k) {
            memory = NO_MEMORY;
            return;
        }
        float *v = k + of.keys * wide, *scores = v + of.keys * wide_out, *q = scores + of.keys * SIDE_BY_SIDE;
        float *q_turned = q + SIDE_BY_SIDE * wide, *found = q_turned + SIDE_BY_SIDE * of.width;
        for (Size job = first; job < last; job++) {
            Size sample = job / of.heads, head = job % of.heads, step = of.heads * of.width_out;
            const Size* s = of.strides;
            spread(of.keys, of.width, wide, key + sample * s[3] + head * s[4], s[5], 1.0f, k);
            spread(of.keys, of.width_out, wide_out, value + sample * s[6] + head * s[7], s[8], 1.0f, v);
            for (Size begin = 0; begin < of.queries; begin += SIDE_BY_SIDE) {
                Size rows = smaller(SIDE_BY_SIDE, of.queries - begin), across = whole_vectors(rows);
                spread(rows, of.width, wide, query + sample * s[0] + head * s[1] + begin * s[2], s[2], of.scale, q);
                turn(rows, of.width, wide, q, q_turned, across);
                product<false>(of.keys, across, of.width, k, wide, q_turned, across, scores, across, false);
                float shares[SIDE_BY_SIDE];
                for (Size n = 0; n < across; n += LANES) {
                    V most = load(scores + n), total = {};
                    for (Size row = 1; row < of.keys; row++) {
                        V score = load(scores + row * across + n);
                        VI more = score > most;
                        most = (of.causal ? more & sees(row, begin + n) : more) ? score : most;
                    }
                    for (Size row = 0; row < of.keys; row++) {
                        V weight = exponential(load(scores + row * across + n) - most);
                        if (of.causal) weight = sees(row, begin + n) ? weight : V{};
                        total += weight;
                        store(scores + row * across + n, weight);
                    }
                    store(shares + n, 1.0f / total);
                    float* kept = sums + job * 2 * of.queries + begin + n;
                    put(kept, most, rows - n);
                    put(kept + of.queries, 1.0f / total, rows - n);
                }
                product<true>(rows, wide_out, of.keys, scores, across, v, wide_out, found, wide_out, false);
                gather(rows, of.width_out, wide_out, found, shares, 1.0f,
                       out + (sample * of.queries + begin) * step + head * of.width_out, step);
            }
        }
    });
    return memory;
}

// d_query, d_key (batch, steps, heads, width) and d_value (batch, steps, heads, width_out) are filled; the last three
// strides are the distances from step to step in them.
template <typename Number>
int attention_backward(int threads, Heads of, const Number* query, const Number* key, const Number* value,
                       const Number* d_out, const float* sums, Number* d_query, Number* d_key, Number* d_value) {
    Size wide = whole_vectors(of.width), wide_out = whole_vectors(of.width_out);
    int memory = 0;
    split(threads, of.batch * of.heads, 2 * of.queries * of.keys * (of.width + of.width_out), [=, &memory](Size first, Size last) {
        static thread_local Scratch scratch;
        float* k = scratch.floats(of.keys * (2 * wide + 2 * wide_out + 2 * SIDE_BY_SIDE) +
                                  SIDE_BY_SIDE * (2 * wide + wide_out + of.width + of.width_out));
        if (!k) {
            memory = NO_MEMORY;
            return;
        }
        float *v = k + of.keys * wide, *dk = v + of.keys * wide_out, *dv = dk + of.keys * wide;
        float *weights = dv + of.keys * wide_out, *slopes = weights + of.keys * SIDE_BY_SIDE;
        float *q = slopes + of.keys * SIDE_BY_SIDE, *found = q + SIDE_BY_SIDE * wide;
        float *d = found + SIDE_BY_SIDE * wide, *q_turned = d + SIDE_BY_SIDE * wide_out;
        float* d_turned = q_turned + SIDE_BY_SIDE * of.width;
        for (Size job = first; job < last; job++) {
            Size sample = job / of.heads, head = job % of.heads;
            const Size* s = of.strides;
            spread(of.keys, of.width, wide, key + sample * s[3] + head * s[4], s[5], 1.0f, k);
            spread(of.keys, of.width_out, wide_out, value + sample * s[6] + head * s[7], s[8], 1.0f, v);
            for (Size begin = 0; begin < of.queries; begin += SIDE_BY_SIDE) {
                Size rows = smaller(SIDE_BY_SIDE, of.queries - begin), across = whole_vectors(rows);
                spread(rows, of.width, wide, query + sample * s[0] + head * s[1] + begin * s[2], s[2], of.scale, q);
                spread(rows, of.width_out, wide_out, d_out + sample * s[9] + head * s[10] + begin * s[11], s[11], 1.0f, d);
                turn(rows, of.width, wide, q, q_turned, across);
                turn(rows, of.width_out, wide_out, d, d_turned, across);
                product<false>(of.keys, across, of.width, k, wide, q_turned, across, weights, across, false);
                product<false>(of.keys, across, of.width_out, v, wide_out, d_turned, across, slopes, across, false);
                for (Size n = 0; n < across; n += LANES) {
                    const float* kept = sums + job * 2 * of.queries + begin + n;
                    V most = get(kept, rows - n), share = get(kept + of.queries, rows - n), mean = {};
                    for (Size row = 0; row < of.keys; row++) {
                        V weight = exponential(load(weights + row * across + n) - most) * share;
                        if (of.causal) weight = sees(row, begin + n) ? weight : V{};
                        store(weights + row * across + n, weight);
                        mean += weight * load(slopes + row * across + n);
                    }
                    for (Size row = 0; row < of.keys; row++) {
                        float* slope = slopes + row * across + n;
                        store(slope, load(weights + row * across + n) * (load(slope) - mean));
                    }
                }
                product<true>(rows, wide, of.keys, slopes, across, k, wide, found, wide, false);
                gather(rows, of.width, wide, found, nullptr, of.scale,
                       d_query + (sample * of.queries + begin) * s[12] + head * of.width, s[12]);
                product<false>(of.keys, wide_out, rows, weights, across, d, wide_out, dv, wide_out, begin > 0);
                product<false>(of.keys, wide, rows, slopes, across, q, wide, dk, wide, begin > 0);
            }
            gather(of.keys, of.width, wide, dk, nullptr, 1.0f, d_key + sample * of.keys * s[13] + head * of.width, s[13]);
            gather(of.keys, of.width_out, wide_out, dv, nullptr, 1.0f,
                   d_value + sample * of.keys * s[14] + head * of.width_out, s[14]);
        }
    });
    return memory;
}

// --- layer normalization of a sum -------------------------------------------------------------------------

#if LANES == 16
inline float total_of(V v) { return _mm512_reduce_add_ps((__m512)v); }  // in the order below
#else
inline float total_of(V v) {
    float parts[LANES];
    store(parts, v);
    for (int half = LANES / 2; half; half /= 2)
        for (int n = 0; n < half; n++) parts[n] += parts[n + half];
    return parts[0];
}
#endif

template <typename Number>
inline V sum_of(const Number* x, const Number* shortcut, Size at, Size left) {
    V v = get(x + at, left);
    return shortcut ? as(x, v + get(shortcut + at, left)) : v;
}

// A row whose numbers, summed up lane by lane, are `all`, gets mean 0 and variance 1, is multiplied by gamma and shifted by
// beta, where these are given. kept gets mean and 1 / sqrt(variance + epsilon).
template <typename Number>
inline void normalize_row(Size width, float epsilon, const Number* line, V all, const float* gamma, const float* beta,
                          Number* out, float* kept) {
    V far = {};
    float mean = total_of(all) / float(width);
    by_vectors(0, width, [&](Size n, Size left) {
        V v = get(line + n, left) - mean;
        if (left < LANES) v = (VI)lane_numbers() < int32_t(left) ? v : V{};
        far += v * v;
    });
    float factor = 1.0f / std::sqrt(total_of(far) / float(width) + epsilon);
    by_vectors(0, width, [&](Size n, Size left) {
        V v = (get(line + n, left) - mean) * factor;
        if (gamma) v *= get(gamma + n, left);
        if (beta) v += get(beta + n, left);
        put(out + n, v, left);
    });
    kept[0] = mean;
    kept[1] = factor;
}

// The way back, for the row line + other: `to` gets the gradient of it; those of gamma, of beta and, if it is given, of
// what was added to all rows are added up.
template <typename Number>
inline void normalize_row_back(Size width, const Number* line, const Number* other, const float* gamma,
                               const Number* from, const float* kept, Number* to, float* d_gamma, float* d_beta,
                               float* d_added) {
    float mean = kept[0], factor = kept[1];
    V all = {}, along = {};
    by_vectors(0, width, [&](Size n, Size left) {
        V v = (sum_of(line, other, n, left) - mean) * factor, d = get(from + n, left);
        put(d_gamma + n, get(d_gamma + n, left) + d * v, left);
        put(d_beta + n, get(d_beta + n, left) + d, left);
        if (gamma) d *= get(gamma + n, left);
        all += d;
        along += d * v;
    });
    float shift = total_of(all) / float(width), slope = total_of(along) / float(width);
    by_vectors(0, width, [&](Size n, Size left) {
        V v = (sum_of(line, other, n, left) - mean) * factor, d = get(from + n, left);
        if (gamma) d *= get(gamma + n, left);
        d = (d - shift - v * slope) * factor;
        put(to + n, d, left);
        if (d_added) put(d_added + n, get(d_added + n, left) + d, left);
    });
}

// Normalizes each row of x, plus that of the shortcut if there is one; kept: rows x 2.
template <typename Number>
int layer_normalize(int threads, Size rows, Size width, double epsilon, const Number* x, const Number* shortcut,
                    const float* gamma, const float* beta, Number* y, float* kept) {
    split(threads, rows, width * 4, [=](Size first, Size last) {
        for (Size row = first; row < last; row++) {
            const Number *line = x + row * width, *other = shortcut ? shortcut + row * width : nullptr;
            Number* out = y + row * width;
            V all = {};
            by_vectors(0, width, [&](Size n, Size left) {
                V v = sum_of(line, other, n, left);
                if (other) put(out + n, v, left);
                all += v;
            });
            if (other) line = out;  // the sum is computed once
            normalize_row(width, float(epsilon), line, all, gamma, beta, out, kept + 2 * row);
        }
    });
    return 0;
}

// dx gets the gradient of the sum; sums (threads x 2 x width, zeros before) those of gamma and beta.
template <typename Number>
int layer_normalize_backward(int threads, Size rows, Size width, const Number* x, const Number* shortcut,
                             const float* gamma, const Number* dy, const float* kept, Number* dx, float* sums) {
    split(threads, rows, width * 6, [=](Size first, Size last) {
        float *d_gamma = sums + this_thread() * 2 * width, *d_beta = d_gamma + width;
        for (Size row = first; row < last; row++) {
            Size at = row * width;
            normalize_row_back<Number>(width, x + at, shortcut ? shortcut + at : nullptr, gamma, dy + at, kept + 2 * row,
                                       dx + at, d_gamma, d_beta, nullptr);
        }
    });
    return 0;
}

#include "dense_rows.h"

}  // namespace SET
}  // namespace

#endif
