package bench.matching;

import static bench.matching.Records.intAt;
import static bench.matching.Records.longAt;

/**
 * The points of a pair whose field and country fit, by the rules of matching.domain; the same whole number as there.
 *
 * <p>Facets come in the order of their cost, and a pair is given up as soon as it cannot reach what is asked of it.
 */
final class Score {
  /** A mandatory requirement is not met, or the points cannot reach what is asked. */
  static final int NONE = -1;

  private static final int SAME_TECHNOLOGY = Layout.of("points.same_technology");
  private static final int SAME_GROUP = Layout.of("points.same_group");
  private static final int SERVED = Layout.of("points.served");
  private static final int OF_INTEREST = Layout.of("points.of_interest");
  private static final int WITHIN_ORDERS = Layout.of("points.within_orders");
  private static final int ABOVE_MINIMUM = Layout.of("points.above_minimum");
  private static final int BELOW_MAXIMUM = Layout.of("points.below_maximum");
  private static final int NO_LIMITS = Layout.of("points.no_limits");
  private static final int TOO_FEW = Layout.of("points.too_few");
  private static final int TOO_MANY = Layout.of("points.too_many");
  private static final int[] SPARE_DAYS = Layout.numbers("steps.spare_days");
  private static final int[] SPARE_POINTS = Layout.numbers("steps.spare_points");
  private static final int LATE = Layout.of("points.late");
  private static final int DAYS_LATE_PER_POINT = Layout.of("steps.days_late_per_point");
  private static final int LEAD_TIME_NOT_STATED = Layout.of("points.lead_time_not_stated");
  private static final int NOTHING_ASKED = Layout.of("points.nothing_asked");
  private static final int ALL_MET = Layout.of("points.all_met");
  private static final int NO_STANDARD_ASKED = Layout.of("points.no_standard_asked");
  private static final int ALL_HELD = Layout.of("points.all_held");
  private static final int SHARED = Layout.of("points.shared");
  private static final int NONE_SHARED = Layout.of("points.none_shared");
  private static final int LANGUAGES_NOT_STATED = Layout.of("points.languages_not_stated");

  private static final int POSSIBLE = Layout.of("possible.all");
  private static final int POSSIBLE_TECHNOLOGY = Layout.of("possible.technology");
  private static final int POSSIBLE_COUNTRY = Layout.of("possible.country");
  private static final int POSSIBLE_LEAD_TIME = Layout.of("possible.lead_time");
  private static final int POSSIBLE_LANGUAGE = Layout.of("possible.language");
  private static final int POSSIBLE_STANDARDS = Layout.of("possible.standards");
  private static final int POSSIBLE_QUANTITY = Layout.of("possible.quantity");
  private static final int POSSIBLE_SPECIFICATION = Layout.of("possible.specification");

  private Score() {}

  static int of(byte[] need, int n, byte[] offering, int o, int atLeast) {
    int spare = POSSIBLE - atLeast;
    spare -= POSSIBLE_TECHNOLOGY - technology(need, n, offering, o);
    spare -= POSSIBLE_COUNTRY - country(need, n, offering, o);
    spare -= POSSIBLE_LEAD_TIME - leadTime(need, n, offering, o);
    spare -= POSSIBLE_LANGUAGE - language(need, n, offering, o);
    spare -= POSSIBLE_STANDARDS - standards(need, n, offering, o);
    if (spare < 0) {
      return NONE;
    }
    spare -= POSSIBLE_QUANTITY - quantity(need, n, offering, o);
    int specification = specification(need, n, offering, o);
    if (specification == NONE) {
      return NONE;
    }
    spare -= POSSIBLE_SPECIFICATION - specification;
    if (spare < 0) {
      return NONE;
    }
    spare -= Price.POSSIBLE - Price.of(need, n, offering, o);
    return spare < 0 ? NONE : atLeast + spare;
  }

  private static int technology(byte[] need, int n, byte[] offering, int o) {
    int asked = intAt(need, n + Need.TECHNOLOGY);
    int offered = o + Offering.TECHNOLOGIES;
    return intAt(offering, offered) == asked || intAt(offering, offered + 4) == asked ? SAME_TECHNOLOGY : SAME_GROUP;
  }

  private static int country(byte[] need, int n, byte[] offering, int o) {
    long country = 1L << intAt(need, n + Need.COUNTRY);
    return (longAt(offering, o + Offering.SERVES) & country) != 0 ? SERVED : OF_INTEREST;
  }

  private static int leadTime(byte[] need, int n, byte[] offering, int o) {
    int leadTime = intAt(offering, o + Offering.LEAD_TIME);
    if (leadTime < 0) {
      return LEAD_TIME_NOT_STATED;
    }
    int spare = intAt(need, n + Need.DAYS) - leadTime;
    for (int step = 0; step < SPARE_DAYS.length; step++) {
      if (spare >= SPARE_DAYS[step]) {
        return SPARE_POINTS[step];
      }
    }
    return Math.max(0, LATE - -spare / DAYS_LATE_PER_POINT);
  }

  private static int language(byte[] need, int n, byte[] offering, int o) {
    long offered = longAt(offering, o + Offering.LANGUAGES);
    if (offered == 0) {
      return LANGUAGES_NOT_STATED;
    }
    return (offered & longAt(need, n + Need.LANGUAGES)) != 0 ? SHARED : NONE_SHARED;
  }

  private static int standards(byte[] need, int n, byte[] offering, int o) {
    long asked = longAt(need, n + Need.STANDARDS);
    if (asked == 0) {
      return NO_STANDARD_ASKED;
    }
    return ALL_HELD * Long.bitCount(asked & longAt(offering, o + Offering.STANDARDS)) / Long.bitCount(asked);
  }

  private static int quantity(byte[] need, int n, byte[] offering, int o) {
    long quantity = longAt(need, n + Need.QUANTITY);
    long minimum = longAt(offering, o + Offering.MINIMUM);
    long maximum = longAt(offering, o + Offering.MAXIMUM);
    if (minimum >= 0 && quantity < minimum) {
      return (int) (TOO_FEW * quantity / minimum);
    }
    if (maximum >= 0 && quantity > maximum) {
      return (int) (TOO_MANY * maximum / quantity);
    }
    if (minimum >= 0) {
      return maximum >= 0 ? WITHIN_ORDERS : ABOVE_MINIMUM;
    }
    return maximum >= 0 ? BELOW_MAXIMUM : NO_LIMITS;
  }

  private static int specification(byte[] need, int n, byte[] offering, int o) {
    int asked = intAt(need, n + Need.REQUIREMENTS);
    if (asked == 0) {
      return NOTHING_ASKED;
    }
    int met = 0;
    for (int at = 0; at < asked; at++) {
      if (isMet(need, n, at, offering, o)) {
        met++;
      } else if (intAt(need, n + Need.MANDATORY + 4 * at) != 0) {
        return NONE;
      }
    }
    return ALL_MET * met / asked;
  }

  /** One of the values stated of the attribute lies in the range, or is among those wanted. */
  private static boolean isMet(byte[] need, int n, int requirement, byte[] offering, int o) {
    int attribute = intAt(need, n + Need.ATTRIBUTE + 4 * requirement);
    long low = longAt(need, n + Need.LOW + 8 * requirement);
    long high = longAt(need, n + Need.HIGH + 8 * requirement);
    for (int at = 0; at < Offering.ATTRIBUTES; at++) {
      if (intAt(offering, o + Offering.ATTRIBUTE + 4 * at) == attribute) {
        long value = longAt(offering, o + Offering.ATTRIBUTE_VALUE + 8 * at);
        if (low <= value && value <= high || low > high && isWanted(need, n, requirement, value)) {
          return true;
        }
      }
    }
    return false;
  }

  private static boolean isWanted(byte[] need, int n, int requirement, long value) {
    int wanted = n + Need.WANTED + 8 * Need.WANTED_EACH * requirement;
    for (int at = 0; at < Need.WANTED_EACH; at++) {
      if (longAt(need, wanted + 8 * at) == value) {
        return true;
      }
    }
    return false;
  }
}
