#pragma once
/// How implementations (`x.ipp` beside `x.hpp`) are compiled.
///
/// By default a header includes its implementation at its foot and the library is header-only.
/// With SHUNT_COMPILED, which the target shunt::compiled defines, headers are contracts alone and
/// the target's library holds the implementations; functions are then not constexpr.
/// Implementations of templates, and of rooms that name a vendor's header, are included in both
/// modes. A private function that is called for every operation is `constexpr` in both modes: so it
/// can be inlined.
#ifdef SHUNT_COMPILED
#define SHUNT_INLINE
#define SHUNT_CONSTEXPR
#else
#define SHUNT_INLINE inline
#define SHUNT_CONSTEXPR constexpr
#endif
