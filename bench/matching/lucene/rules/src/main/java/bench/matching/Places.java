package bench.matching;

import static bench.matching.Records.intAt;
import static bench.matching.Records.longAt;

import java.util.ArrayList;
import java.util.List;

/** The indexed term in which a need and an offering meet: technology group, unit and country in one. */
final class Places {
  private Places() {}

  static String of(int field, int country) {
    return field + "/" + country;
  }

  static String ofNeed(byte[] need, int n) {
    return of(intAt(need, n + Need.FIELD), intAt(need, n + Need.COUNTRY));
  }

  /** All places in which the offering may be proposed. */
  static List<String> ofOffering(byte[] offering, int o) {
    List<String> places = new ArrayList<>();
    long reach = longAt(offering, o + Offering.SERVES) | longAt(offering, o + Offering.INTERESTED_IN);
    int first = intAt(offering, o + Offering.FIELDS);
    int second = intAt(offering, o + Offering.FIELDS + 4);
    for (long rest = reach; rest != 0; rest &= rest - 1) {
      int country = Long.numberOfTrailingZeros(rest);
      places.add(of(first, country));
      if (second >= 0 && second != first) {
        places.add(of(second, country));
      }
    }
    return places;
  }
}
