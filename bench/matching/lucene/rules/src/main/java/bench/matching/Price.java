package bench.matching;

import static bench.matching.Records.intAt;
import static bench.matching.Records.longAt;

import java.math.BigInteger;

/**
 * The points of a price against the budget, exact: by 300ths of the budget, rounded up.
 *
 * <p>A double says them unless it comes so close to a whole 300th that its rounding could matter; then whole numbers do.
 */
final class Price {
  static final int POSSIBLE = Layout.of("possible.price");

  private static final int NO_PRICE = Layout.of("points.no_price");
  private static final int BELOW_FIRST_TIER = Layout.of("points.below_first_tier");
  private static final int NO_BUDGET = Layout.of("points.no_budget");
  private static final int NO_RATE = Layout.of("points.no_rate");
  private static final int TOO_LARGE = Layout.of("points.total_too_large");
  private static final int PARTS = Layout.of("steps.parts_of_budget");
  private static final int[] POINTS = Layout.numbers("steps.price_points");
  private static final long[] RATES = Layout.longs("rates");
  private static final int QUANTITY = Layout.of("units.quantity");
  private static final BigInteger LARGEST =
      BigInteger.TEN.pow(18).multiply(BigInteger.valueOf(QUANTITY)).multiply(BigInteger.valueOf(Layout.of("units.money")));
  private static final double NEARLY_LARGEST = LARGEST.doubleValue() * (1 - 1e-9);
  private static final double TOO_CLOSE = 1e-9;

  private Price() {}

  static int of(byte[] need, int n, byte[] offering, int o) {
    int tiers = intAt(offering, o + Offering.TIERS);
    if (tiers == 0) {
      return NO_PRICE;
    }
    long quantity = longAt(need, n + Need.QUANTITY);
    int reached = reached(offering, o, tiers, quantity);
    if (reached == 0) {
      return BELOW_FIRST_TIER;
    }
    double total = total(offering, o, reached, quantity);
    if (total >= NEARLY_LARGEST) {
      return exact(need, n, offering, o, reached);
    }
    long budget = longAt(need, n + Need.BUDGET);
    if (budget < 0) {
      return NO_BUDGET;
    }
    int origin = intAt(offering, o + Offering.CURRENCY);
    int target = intAt(need, n + Need.CURRENCY);
    double parts = PARTS * total / ((double) budget * QUANTITY);
    if (origin != target) {
      long rate = RATES[origin];
      long other = RATES[target];
      if (rate == 0 || other == 0) {
        return NO_RATE;
      }
      parts = parts * other / rate;
    }
    if (parts > POINTS.length) {
      return POINTS[POINTS.length - 1];
    }
    if (Math.abs(parts - Math.rint(parts)) <= TOO_CLOSE * Math.max(1, parts)) {
      return exact(need, n, offering, o, reached);
    }
    return POINTS[Math.min(POINTS.length - 1, (int) Math.ceil(parts))];
  }

  /** The number of the tier that the quantity reaches, from 1; 0 below the first. */
  private static int reached(byte[] offering, int o, int tiers, long quantity) {
    int reached = 0;
    while (reached < tiers && longAt(offering, o + Offering.TIER_QUANTITY + 8 * reached) <= quantity) {
      reached++;
    }
    return reached;
  }

  private static double total(byte[] offering, int o, int reached, long quantity) {
    if (intAt(offering, o + Offering.INCREMENTAL) == 0) {
      return (double) quantity * longAt(offering, o + Offering.TIER_PRICE + 8 * (reached - 1));
    }
    double total = 0;
    for (int tier = 0; tier < reached; tier++) {
      total += (double) units(offering, o, tier, reached, quantity) * longAt(offering, o + Offering.TIER_PRICE + 8 * tier);
    }
    return total;
  }

  /** How much of the quantity an incremental tier prices; the first also what is below the second's threshold. */
  private static long units(byte[] offering, int o, int tier, int reached, long quantity) {
    long begins = tier == 0 ? 0 : longAt(offering, o + Offering.TIER_QUANTITY + 8 * tier);
    long ends = tier == reached - 1 ? quantity : longAt(offering, o + Offering.TIER_QUANTITY + 8 * (tier + 1));
    return ends - begins;
  }

  private static int exact(byte[] need, int n, byte[] offering, int o, int reached) {
    long quantity = longAt(need, n + Need.QUANTITY);
    boolean incremental = intAt(offering, o + Offering.INCREMENTAL) != 0;
    BigInteger total = BigInteger.ZERO;
    for (int tier = incremental ? 0 : reached - 1; tier < reached; tier++) {
      BigInteger units = BigInteger.valueOf(incremental ? units(offering, o, tier, reached, quantity) : quantity);
      total = total.add(units.multiply(BigInteger.valueOf(longAt(offering, o + Offering.TIER_PRICE + 8 * tier))));
    }
    if (total.compareTo(LARGEST) >= 0) {
      return TOO_LARGE;
    }
    long budget = longAt(need, n + Need.BUDGET);
    if (budget < 0) {
      return NO_BUDGET;
    }
    int origin = intAt(offering, o + Offering.CURRENCY);
    int target = intAt(need, n + Need.CURRENCY);
    long rate = origin == target ? 1 : RATES[origin];
    long other = origin == target ? 1 : RATES[target];
    if (rate == 0 || other == 0) {
      return NO_RATE;
    }
    BigInteger cost = total.multiply(BigInteger.valueOf(PARTS)).multiply(BigInteger.valueOf(other));
    BigInteger most = BigInteger.valueOf(budget).multiply(BigInteger.valueOf(QUANTITY)).multiply(BigInteger.valueOf(rate));
    BigInteger[] parts = cost.divideAndRemainder(most);
    long roundedUp = parts[0].longValueExact() + (parts[1].signum() == 0 ? 0 : 1);
    return POINTS[(int) Math.min(POINTS.length - 1, roundedUp)];
  }
}
